#include "priority/class_rules.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

/* A piece of the user's text. */
struct word {
	const char *at;
	size_t bytes;
};

static bool word_is(struct word word, const char *name)
{
	return strlen(name) == word.bytes && memcmp(word.at, name, word.bytes) == 0;
}

/* Takes prefix off the front of the word, if it is there. */
static bool word_skip(struct word *word, const char *prefix)
{
	size_t n = strlen(prefix);

	if (word->bytes < n || memcmp(word->at, prefix, n) != 0)
		return false;
	word->at += n;
	word->bytes -= n;
	return true;
}

/* The class of that name, or LINA_NCLASSES. */
static enum lina_class class_named(struct word word)
{
	enum lina_class cls = LINA_CLASS_LATENCY;

	while (cls < LINA_NCLASSES && !word_is(word, lina_class_name(cls)))
		cls++;
	return cls;
}

/* The operation of that name, or LINA_NOPS. */
static enum lina_op op_named(struct word word)
{
	enum lina_op op = LINA_OP_BROADCAST;

	while (op < LINA_NOPS && !word_is(word, lina_op_name(op)))
		op++;
	return op;
}

static bool number_of(struct word word, int *number_p)
{
	int number = 0;

	for (size_t i = 0; i < word.bytes; i++) {
		int digit = word.at[i] - '0';

		if (digit < 0 || digit > 9 || number > (INT_MAX - digit) / 10)
			return false;
		number = number * 10 + digit;
	}
	*number_p = number;
	return word.bytes > 0;
}

static int fail(struct lina_class_fault *fault_p, enum lina_class_fault_kind what)
{
	fault_p->what = what;
	return -EINVAL;
}

static int comm_parse(
	struct word pattern, struct lina_class_rule *rule, struct lina_class_fault *fault_p)
{
	if (pattern.bytes == 0 || pattern.bytes >= sizeof(rule->pattern))
		return fail(fault_p, LINA_CLASS_FAULT_PATTERN);
	rule->key = LINA_CLASS_KEY_COMM;
	memcpy(rule->pattern, pattern.at, pattern.bytes);
	rule->pattern[pattern.bytes] = '\0';
	return 0;
}

static int key_parse(
	struct word key, struct lina_class_rule *rule, struct lina_class_fault *fault_p)
{
	if (word_skip(&key, "comm:"))
		return comm_parse(key, rule, fault_p);
	if (word_skip(&key, "traffic:")) {
		rule->key = LINA_CLASS_KEY_TRAFFIC;
		return number_of(key, &rule->number) ? 0 : fail(fault_p, LINA_CLASS_FAULT_TRAFFIC);
	}
	if (word_is(key, "all")) {
		rule->key = LINA_CLASS_KEY_ALL;
		return 0;
	}
	rule->key = LINA_CLASS_KEY_OP;
	rule->number = (int)op_named(key);
	return rule->number < LINA_NOPS ? 0 : fail(fault_p, LINA_CLASS_FAULT_KEY);
}

static size_t last_equals(struct word word)
{
	size_t at = word.bytes;

	while (at > 0 && word.at[at - 1] != '=')
		at--;
	return at;
}

/* A pattern may contain '=', a class does not: the last one divides. */
static int rule_parse(const char *text, struct word word, struct lina_class_rule *rule,
	struct lina_class_fault *fault_p)
{
	size_t after = last_equals(word);
	struct word key = { word.at, after - (after > 0) };
	struct word cls = { word.at + after, word.bytes - after };

	fault_p->at = (size_t)(word.at - text);
	fault_p->bytes = word.bytes;
	if (after == 0)
		return fail(fault_p, LINA_CLASS_FAULT_NO_CLASS);
	fault_p->bytes = key.bytes;
	if (key_parse(key, rule, fault_p) != 0)
		return -EINVAL;
	fault_p->at += after;
	fault_p->bytes = cls.bytes;
	rule->cls = class_named(cls);
	return rule->cls < LINA_NCLASSES ? 0 : fail(fault_p, LINA_CLASS_FAULT_CLASS);
}

int lina_class_rules_parse(
	const char *text, struct lina_class_rules *rules_p, struct lina_class_fault *fault_p)
{
	struct lina_class_rules rules = { 0 };
	const char *at = text;

	while (text[0] != '\0') {
		struct word word = { at, strcspn(at, ",") };

		if (rules.nrules == LINA_CLASS_RULES_MAX) {
			fault_p->at = (size_t)(at - text);
			fault_p->bytes = word.bytes;
			return fail(fault_p, LINA_CLASS_FAULT_TOO_MANY);
		}
		if (rule_parse(text, word, &rules.rule[rules.nrules], fault_p) != 0)
			return -EINVAL;
		rules.nrules++;
		if (at[word.bytes] == '\0')
			break;
		at += word.bytes + 1;
	}
	*rules_p = rules;
	return 0;
}

/* When the characters after a star do not fit, the star takes in one more; only the last star has
 * to be thought of, since what is before it fits wherever it fits first. */
bool lina_glob_match(const char *pattern, const char *text)
{
	const char *star = NULL, *retry = NULL;

	while (*text != '\0') {
		if (*pattern == '*') {
			star = ++pattern;
			retry = text;
		} else if (*pattern != '\0' && (*pattern == '?' || *pattern == *text)) {
			pattern++;
			text++;
		} else if (star != NULL) {
			pattern = star;
			text = ++retry;
		} else {
			return false;
		}
	}
	while (*pattern == '*')
		pattern++;
	return *pattern == '\0';
}

static bool rule_fits(const struct lina_class_rule *rule, const struct lina_class_facts *facts)
{
	switch (rule->key) {
	case LINA_CLASS_KEY_OP:
		return facts->op == rule->number;
	case LINA_CLASS_KEY_COMM:
		return facts->comm_name != NULL && lina_glob_match(rule->pattern, facts->comm_name);
	case LINA_CLASS_KEY_TRAFFIC:
		return facts->traffic_class == rule->number;
	case LINA_CLASS_KEY_ALL:
		return true;
	}
	return false;
}

enum lina_class lina_class_rules_find(
	const struct lina_class_rules *rules, const struct lina_class_facts *facts)
{
	for (int i = 0; i < rules->nrules; i++)
		if (rule_fits(&rules->rule[i], facts))
			return rules->rule[i].cls;
	return facts->op >= 0 && facts->op < LINA_NOPS ? lina_class_of_op((enum lina_op)facts->op)
						       : LINA_CLASS_BULK;
}

bool lina_class_rules_want_name(const struct lina_class_rules *rules)
{
	for (int i = 0; i < rules->nrules; i++)
		if (rules->rule[i].key == LINA_CLASS_KEY_COMM)
			return true;
	return false;
}
