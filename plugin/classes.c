#include "plugin/classes.h"

#include <stdio.h>
#include <string.h>

#include "plugin/log.h"

enum { NAMES_BYTES = 256 };

static void append(char *text, const char *name)
{
	size_t used = strlen(text);

	(void)snprintf(text + used, NAMES_BYTES - used, "%s%s", used != 0 ? ", " : "", name);
}

static void class_names(char *text)
{
	text[0] = '\0';
	for (enum lina_class cls = LINA_CLASS_LATENCY; cls < LINA_NCLASSES; cls++)
		append(text, lina_class_name(cls));
}

static void key_names(char *text)
{
	text[0] = '\0';
	for (enum lina_op op = LINA_OP_BROADCAST; op < LINA_NOPS; op++)
		append(text, lina_op_name(op));
	append(text, "comm:PATTERN");
	append(text, "traffic:NUMBER");
	append(text, "all");
}

static void fault_log(const char *text, const struct lina_class_fault *fault)
{
	const char *word = text + fault->at;
	int n = (int)fault->bytes;
	char names[NAMES_BYTES];

	switch (fault->what) {
	case LINA_CLASS_FAULT_NO_CLASS:
		lina_warn("LINA_CLASSES: '%.*s': must be KEY=CLASS", n, word);
		break;
	case LINA_CLASS_FAULT_KEY:
		key_names(names);
		lina_warn("LINA_CLASSES: '%.*s': no such operation or key; there are: %s", n, word,
			names);
		break;
	case LINA_CLASS_FAULT_CLASS:
		class_names(names);
		lina_warn("LINA_CLASSES: '%.*s': no such class; there are: %s", n, word, names);
		break;
	case LINA_CLASS_FAULT_TRAFFIC:
		lina_warn("LINA_CLASSES: '%.*s': a traffic class is a whole number from 0 on", n,
			word);
		break;
	case LINA_CLASS_FAULT_PATTERN:
		lina_warn("LINA_CLASSES: '%.*s': a pattern has 1 to %d characters", n, word,
			LINA_CLASS_PATTERN_BYTES - 1);
		break;
	case LINA_CLASS_FAULT_TOO_MANY:
		lina_warn("LINA_CLASSES: '%.*s': there is room for %d rules", n, word,
			LINA_CLASS_RULES_MAX);
		break;
	}
}

int lina_classes_read(const char *text, struct lina_class_rules *rules_p)
{
	struct lina_class_fault fault;

	int err = lina_class_rules_parse(text, rules_p, &fault);
	if (err)
		fault_log(text, &fault);
	return err;
}
