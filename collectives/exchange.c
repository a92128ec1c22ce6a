/* Placements out. */
#include "collectives/exchange.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const names[LINA_EXCHANGE_NFORMATS] = { "eplb", "sglang", "trtllm",
	"nccl-tests" };

const char *lina_exchange_format_name(enum lina_exchange_format format)
{
	return (unsigned)format < LINA_EXCHANGE_NFORMATS ? names[format] : NULL;
}

int lina_exchange_format_parse(const char *name, enum lina_exchange_format *format_p)
{
	for (int i = 0; i < LINA_EXCHANGE_NFORMATS; i++)
		if (strcmp(name, names[i]) == 0) {
			*format_p = (enum lina_exchange_format)i;
			return 0;
		}
	return -EINVAL;
}

bool lina_exchange_loses_shares(const struct lina_plan *plan)
{
	size_t n = (size_t)plan->shape.nlayers * (size_t)lina_plan_nslots(&plan->shape);
	struct lina_plan *even;
	bool loses;

	if (lina_plan_copy(plan, &even))
		return false;
	for (int l = 0; l < plan->shape.nlayers; l++)
		lina_plan_share_evenly(even, l);
	loses = memcmp(even->share, plan->share, n * sizeof(*even->share)) != 0;
	lina_plan_destroy(even);
	return loses;
}

/* "[1, 2, 3]" */
static void row_put(FILE *out, const int *experts, int n)
{
	for (int s = 0; s < n; s++)
		(void)fprintf(out, "%s%d", s ? ", " : "[", experts[s]);
	(void)fputc(']', out);
}

static void json_put(FILE *out, const struct lina_plan *plan)
{
	for (int l = 0; l < plan->shape.nlayers; l++) {
		(void)fputs(l ? ",\n " : "[", out);
		row_put(out, lina_plan_experts(plan, l), lina_plan_nslots(&plan->shape));
	}
	(void)fputc(']', out);
}

static void yaml_put(FILE *out, const struct lina_plan *plan, int first_layer)
{
	(void)fprintf(out, "num_slots: %d\ninitial_global_assignments:\n",
		lina_plan_nslots(&plan->shape));
	for (int l = 0; l < plan->shape.nlayers; l++) {
		(void)fprintf(out, "  %d: ", first_layer + l);
		row_put(out, lina_plan_experts(plan, l), lina_plan_nslots(&plan->shape));
		(void)fputc('\n', out);
	}
	(void)fputs("layer_updates_per_iter: 0\n", out);
}

/* Closes a stream of open_memstream; -ENOMEM, and nothing is left, if something went wrong. */
static int text_close(FILE *out, char **text)
{
	bool failed = ferror(out);

	if (!fclose(out) && !failed)
		return 0;
	free(*text);
	return -ENOMEM;
}

int lina_exchange_encode(const struct lina_plan *plan, enum lina_exchange_format format,
	int first_layer, char **text_p, size_t *bytes_p, size_t *slot_p)
{
	size_t n = (size_t)plan->shape.nlayers * (size_t)lina_plan_nslots(&plan->shape), bytes = 0;
	char *text = NULL;
	FILE *out;
	int err;

	if (format == LINA_EXCHANGE_NCCL_TESTS)
		return -EINVAL;
	for (size_t i = 0; i < n; i++)
		if (plan->expert[i] == LINA_SLOT_EMPTY) {
			*slot_p = i;
			return -ENOTSUP;
		}
	out = open_memstream(&text, &bytes);
	if (!out)
		return -ENOMEM;
	if (format == LINA_EXCHANGE_SGLANG)
		(void)fputs("{\"physical_to_logical_map\": ", out);
	if (format == LINA_EXCHANGE_TRTLLM)
		yaml_put(out, plan, first_layer);
	else
		json_put(out, plan);
	if (format != LINA_EXCHANGE_TRTLLM)
		(void)fputs(format == LINA_EXCHANGE_SGLANG ? "}\n" : "\n", out);
	err = text_close(out, &text);
	if (err)
		return err;
	*text_p = text;
	*bytes_p = bytes;
	return 0;
}

int lina_exchange_matrix_encode(const double *bytes, int n, char **text_p, size_t *size_p)
{
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);
	int err;

	if (!out)
		return -ENOMEM;
	for (int i = 0; i < n; i++)
		for (int j = 0; j < n; j++)
			(void)fprintf(out, "%.0f%c", bytes[(size_t)i * (size_t)n + (size_t)j],
				j + 1 < n ? ' ' : '\n');
	err = text_close(out, &text);
	if (err)
		return err;
	*text_p = text;
	*size_p = size;
	return 0;
}
