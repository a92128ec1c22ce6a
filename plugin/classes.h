/* The user's rules for the class of a request, read with messages. */
#ifndef LINA_PLUGIN_CLASSES_H
#define LINA_PLUGIN_CLASSES_H

#include "priority/class_rules.h"

/* Reads LINA_CLASSES; text is its value. -EINVAL: a word is not understood (logged with the word
 * and with those there are). */
int lina_classes_read(const char *text, struct lina_class_rules *rules_p);

#endif
