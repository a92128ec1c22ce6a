/*
 * The user's rules for the class of a request (LINA_CLASSES): read from text, and looked up. Pure.
 *
 * The text is a list of KEY=CLASS, separated by commas. CLASS is the name of a class. KEY is one of
 *   - the name of an operation: requests of that operation;
 *   - comm:PATTERN: requests of a communicator with such a name; * stands for any characters, ? for
 *     one;
 *   - traffic:N: requests of a communicator made with that traffic class (ncclConfig_t);
 *   - all: every request.
 * The first rule that fits decides, whatever its kind: who writes the order decides what goes
 * before what. A rule fits only what is known: an unnamed request fits no operation, a communicator
 * without a name no pattern.
 */
#ifndef LINA_PRIORITY_CLASS_RULES_H
#define LINA_PRIORITY_CLASS_RULES_H

#include <stdbool.h>
#include <stddef.h>

#include "priority/class.h"

enum { LINA_CLASS_RULES_MAX = 32, LINA_CLASS_PATTERN_BYTES = 64 };

enum lina_class_key {
	LINA_CLASS_KEY_OP,
	LINA_CLASS_KEY_COMM,
	LINA_CLASS_KEY_TRAFFIC,
	LINA_CLASS_KEY_ALL
};

struct lina_class_rule {
	enum lina_class_key key;
	enum lina_class cls;
	int number; /* KEY_OP: a lina_op; KEY_TRAFFIC: the traffic class */
	char pattern[LINA_CLASS_PATTERN_BYTES]; /* KEY_COMM */
};

struct lina_class_rules {
	int nrules;
	struct lina_class_rule rule[LINA_CLASS_RULES_MAX]; /* [nrules], in the user's order */
};

enum lina_class_fault_kind {
	LINA_CLASS_FAULT_NO_CLASS, /* the word has no '=' */
	LINA_CLASS_FAULT_KEY,
	LINA_CLASS_FAULT_CLASS,
	LINA_CLASS_FAULT_TRAFFIC, /* no whole number from 0 to INT_MAX */
	LINA_CLASS_FAULT_PATTERN, /* empty or too long */
	LINA_CLASS_FAULT_TOO_MANY /* the word is the first rule for which there is no room */
};

/* What is wrong with a text, and the word that it is wrong with: bytes characters from at on. */
struct lina_class_fault {
	enum lina_class_fault_kind what;
	size_t at, bytes;
};

/* Reads text; the empty text has no rules. -EINVAL: *fault_p says why, and *rules_p is as before.
 */
int lina_class_rules_parse(
	const char *text, struct lina_class_rules *rules_p, struct lina_class_fault *fault_p);

/* What is known of a request. */
struct lina_class_facts {
	int op;                /* lina_op; negative: not known */
	const char *comm_name; /* NULL: not known */
	int traffic_class;     /* negative: none was asked for, or not known */
};

/* The class of a request: that of the first rule that fits; without one that of its operation
 * (lina_class_of_op); and bulk where that is not known either. */
enum lina_class lina_class_rules_find(
	const struct lina_class_rules *rules, const struct lina_class_facts *facts);

/* Whether any rule asks for the name of a communicator. */
bool lina_class_rules_want_name(const struct lina_class_rules *rules);

/* Whether all of text is as pattern has it: * stands for any characters, ? for one. */
bool lina_glob_match(const char *pattern, const char *text);

#endif
