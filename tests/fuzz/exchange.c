/* Placements and matrices in the formats of others; the first byte says in which. */
#include "collectives/exchange.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz/fuzz.h"

const unsigned fuzz_inputs = 20000;

static void placement_run(const char *text, size_t size, enum lina_exchange_format format)
{
	const struct lina_exchange_shape shape = { .ndevices = 2, .nnodes = 1 };
	struct lina_plan_text_fault fault = { .line = -1 };
	struct lina_plan *plan, *again;
	size_t bytes, slot;
	char *out;

	if (lina_exchange_decode(text, size, format, &shape, &plan, &fault)) {
		FUZZ_CHECK(fault.line >= 0 && fault.text[0]);
		return;
	}
	FUZZ_CHECK(!lina_exchange_encode(plan, format, 0, &out, &bytes, &slot));
	FUZZ_CHECK(!lina_exchange_decode(out, bytes, format, &shape, &again, &fault));
	FUZZ_CHECK(memcmp(&plan->shape, &again->shape, sizeof(plan->shape)) == 0);
	FUZZ_CHECK(memcmp(plan->expert, again->expert,
			   (size_t)plan->shape.nlayers * (size_t)lina_plan_nslots(&plan->shape) *
				   sizeof(int)) == 0);
	free(out);
	lina_plan_destroy(plan);
	lina_plan_destroy(again);
}

static void matrix_run(const char *text, size_t size)
{
	struct lina_plan_text_fault fault = { .line = -1 };
	double *bytes;
	int n;

	if (lina_exchange_matrix_decode(text, size, &bytes, &n, &fault)) {
		FUZZ_CHECK(fault.line >= 0 && fault.text[0]);
		return;
	}
	FUZZ_CHECK(n >= 1);
	for (int i = 0; i < n * n; i++)
		FUZZ_CHECK(bytes[i] >= 0);
	free(bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!size)
		return 0;
	enum lina_exchange_format format = (enum lina_exchange_format)(data[0] % 4);
	if (format == LINA_EXCHANGE_NCCL_TESTS)
		matrix_run((const char *)data + 1, size - 1);
	else
		placement_run((const char *)data + 1, size - 1, format);
	return 0;
}

size_t fuzz_seed(unsigned i, uint8_t *out, size_t room)
{
	static const struct {
		enum lina_exchange_format format;
		const char *text;
	} seeds[] = {
		{ LINA_EXCHANGE_EPLB, "[[0, 1, 2, 0], [2, 1, 0, 1]]" },
		{ LINA_EXCHANGE_SGLANG, "{\"physical_to_logical_map\": [[0, 1], [1, 0]]}" },
		{ LINA_EXCHANGE_TRTLLM, "num_slots: 4\ninitial_global_assignments:\n"
					"  3: [0, 1, 2, 0]\n  4:\n  - 2\n  - 1\n  - 0\n  - 1\n"
					"layer_updates_per_iter: 0\n" },
		{ LINA_EXCHANGE_NCCL_TESTS, "100 200 150\n50 100 75 # a comment\n300 150 200\n" },
	};

	if (i >= sizeof(seeds) / sizeof(*seeds) || strlen(seeds[i].text) + 1 > room)
		return 0;
	out[0] = (uint8_t)seeds[i].format;
	memcpy(out + 1, seeds[i].text, strlen(seeds[i].text));
	return strlen(seeds[i].text) + 1;
}
