/* LINA_CLASSES and a communicator's name, separated by a newline. */
#include "priority/class_rules.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz/fuzz.h"

const unsigned fuzz_inputs = 200000;

static char *text_of(const uint8_t *data, size_t n)
{
	char *text = malloc(n + 1);

	if (!text)
		die("no memory");
	if (n)
		memcpy(text, data, n);
	text[n] = '\0';
	return text;
}

static void fault_check(const char *text, const struct lina_class_fault *fault)
{
	FUZZ_CHECK(fault->at + fault->bytes <= strlen(text));
	FUZZ_CHECK(!memchr(text + fault->at, ',', fault->bytes));
}

static void rules_check(const struct lina_class_rules *rules, const char *comm_name)
{
	FUZZ_CHECK(rules->nrules >= 0 && rules->nrules <= LINA_CLASS_RULES_MAX);
	for (int i = 0; i < rules->nrules; i++) {
		const struct lina_class_rule *rule = &rules->rule[i];

		FUZZ_CHECK(rule->cls < LINA_NCLASSES);
		FUZZ_CHECK(memchr(rule->pattern, '\0', sizeof(rule->pattern)));
		FUZZ_CHECK(
			rule->key != LINA_CLASS_KEY_OP || lina_op_name((enum lina_op)rule->number));
	}
	for (int op = -1; op <= LINA_NOPS; op++) {
		const struct lina_class_facts facts = { op, comm_name, INT_MAX };
		enum lina_class cls = lina_class_rules_find(rules, &facts);

		FUZZ_CHECK(cls < LINA_NCLASSES);
		/* With a rule for all in front of it, nothing but that rule counts. */
		if (rules->nrules > 0 && rules->rule[0].key == LINA_CLASS_KEY_ALL)
			FUZZ_CHECK(cls == rules->rule[0].cls);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *newline = size ? memchr(data, '\n', size) : NULL;
	size_t ntext = newline ? (size_t)(newline - data) : size;
	char *text = text_of(data, ntext);
	char *name = newline ? text_of(newline + 1, size - ntext - 1) : NULL;
	struct lina_class_rules rules = { .nrules = -1 };
	struct lina_class_fault fault = { .at = SIZE_MAX };

	if (lina_class_rules_parse(text, &rules, &fault)) {
		FUZZ_CHECK(rules.nrules == -1);
		fault_check(text, &fault);
	} else {
		rules_check(&rules, name);
	}
	free(text);
	free(name);
	return 0;
}

size_t fuzz_seed(unsigned i, uint8_t *out, size_t room)
{
	static const char *const seeds[] = {
		"alltoall=latency,allreduce=bulk",
		"traffic:1=latency,traffic:2147483647=bulk",
		"comm:ep_*=latency,comm:?p*=bulk\nep_0",
		"all=latency\nx",
		"comm:a=b=latency,all=bulk\na=b",
		"all=fast,traffic:-1=bulk,,",
	};

	if (i >= sizeof(seeds) / sizeof(*seeds) || strlen(seeds[i]) > room)
		return 0;
	memcpy(out, seeds[i], strlen(seeds[i]));
	return strlen(seeds[i]);
}
