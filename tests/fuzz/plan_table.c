/* A placement table. */
#include <stdlib.h>
#include <string.h>

#include "collectives/plan_io.h"
#include "fuzz/fuzz.h"

const unsigned fuzz_inputs = 100000;

/* A fault names a place in the text, and can be printed. */
static void fault_check(const struct lina_plan_text_fault *fault, const uint8_t *data, size_t size)
{
	int nlines = 1;

	for (size_t i = 0; i < size; i++)
		nlines += data[i] == '\n';
	FUZZ_CHECK(fault->line >= 1 && fault->line <= nlines);
	FUZZ_CHECK(fault->column >= 1 && (size_t)fault->column <= size + 1);
	FUZZ_CHECK(memchr(fault->text, '\0', sizeof(fault->text)) && fault->text[0]);
	for (const char *c = fault->text; *c; c++)
		FUZZ_CHECK(*c >= ' ' && *c <= '~');
}

/* What was read is right, and is read again as it is from what is written of it. */
static void plan_check(const struct lina_plan *plan)
{
	size_t n = (size_t)plan->shape.nlayers * (size_t)lina_plan_nslots(&plan->shape);
	struct lina_plan_text_fault text_fault;
	struct lina_plan_fault fault;
	struct lina_plan *again;
	size_t bytes;
	char *text;

	FUZZ_CHECK(!lina_plan_check(plan, &fault));
	FUZZ_CHECK(!lina_plan_encode(plan, &text, &bytes));
	FUZZ_CHECK(!lina_plan_decode(text, bytes, &again, &text_fault));
	FUZZ_CHECK(memcmp(&plan->shape, &again->shape, sizeof(plan->shape)) == 0);
	FUZZ_CHECK(plan->generation == again->generation);
	FUZZ_CHECK(memcmp(plan->expert, again->expert, n * sizeof(*plan->expert)) == 0);
	for (size_t i = 0; i < n; i++)
		FUZZ_CHECK(plan->share[i] == again->share[i]);
	free(text);
	lina_plan_destroy(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct lina_plan_text_fault fault = { 0 };
	struct lina_plan *plan = NULL;
	char *text = malloc(size ? size : 1);

	/* A copy of just this size, so that a sanitizer sees who reads beyond it. */
	if (!text)
		die("no memory");
	if (size)
		memcpy(text, data, size);
	if (lina_plan_decode(text, size, &plan, &fault)) {
		FUZZ_CHECK(!plan);
		fault_check(&fault, data, size);
	} else {
		plan_check(plan);
		lina_plan_destroy(plan);
	}
	free(text);
	return 0;
}

size_t fuzz_seed(unsigned i, uint8_t *out, size_t room)
{
#define SEED_HEADER(layers, experts, slots)                                     \
	"lina-placement 1\nlayers " layers "\nexperts " experts "\ndevices 2\n" \
	"devices-per-node 1\nslots-per-device " slots "\ngeneration 18446744073709551615\n"
	static const char *const seeds[] = {
		SEED_HEADER("1", "3", "2") "layer 0\ndevice 0: 0 1\ndevice 1: 2 -\nend\n",
		SEED_HEADER("1", "2", "2") "layer 0\ndevice 0: 0:0.25 1\ndevice 1: - 0:7.5e-1\nend",
		SEED_HEADER("2", "1", "1") "# none\r\nlayer 0\r\ndevice 0:\t0\r\ndevice 1: 0\r\n"
					   "layer 1\ndevice 0: 0 #\ndevice 1: -\nend\n\n# end\n",
		SEED_HEADER("1", "3", "2") "layer 0\ndevice 0: 0:1 1:1e0\ndevice 1: 2 2\nend\n",
		"lina-placement 2\n",
	};

	if (i >= sizeof(seeds) / sizeof(*seeds) || strlen(seeds[i]) > room)
		return 0;
	memcpy(out, seeds[i], strlen(seeds[i]));
	return strlen(seeds[i]);
}
