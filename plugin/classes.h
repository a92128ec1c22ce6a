/*
 * The class of a communicator's requests: the user's rules applied to what is known of the
 * communicator, worked out once, so that a request costs a look into a table.
 */
#ifndef LINA_PLUGIN_CLASSES_H
#define LINA_PLUGIN_CLASSES_H

#include "priority/class_rules.h"

/* Reads LINA_CLASSES; text is its value. -EINVAL: a word is not understood (logged with the word
 * and with those there are). */
int lina_classes_read(const char *text, struct lina_class_rules *rules_p);

/* Constant while it is used. */
struct lina_classes {
	enum lina_class of_op[LINA_NOPS];
	enum lina_class unnamed; /* where the operation is not known */
};

/* comm_name may be NULL; traffic_class is negative where there is none. */
struct lina_classes lina_classes_of(
	const struct lina_class_rules *rules, const char *comm_name, int traffic_class);

/* op: a lina_op, or anything else where it is not known. */
enum lina_class lina_classes_find(const struct lina_classes *classes, int op);

#endif
