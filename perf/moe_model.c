#include "perf/moe_model.h"

#include <string.h>

static const double ddp_bucket_bytes = 25e6;

/*
 * Sizes follow from the models' shapes. Bytes of an all-to-all: tokens of a rank x experts of a
 * token x width x 2. Work of attention: 2 x tokens x its parameters + 4 x tokens x sequence x
 * heads' width; a layer without experts between two with them counts here, feed-forward part
 * included. The first four run on GPUs with 25 Gbit/s each that do 40 TFLOP/s in attention and 77
 * in experts, as the table in README.md has it; the others on GPUs with 400 Gbit/s that do 400 in
 * both.
 */
static const struct moe_preset presets[] = {
	/* Lina (Li and others, ATC 2023): 8192 tokens, top-2, all layers with experts. */
	{ "gpt2", "12 layers, width 768, 8 x 1024, top-2", 12, 25.2e6, 136e6, 64.4, 154.6, 40, 77,
		25000 },
	{ "transformer-xl", "24 layers, width 1024, 8 x 1024, top-2", 24, 33.6e6, 307e6, 103.1,
		274.9, 40, 77, 25000 },
	/* DeepSpeed-MoE (Rajbhandari and others, ICML 2022): 24 layers, every other with experts.
	 */
	{ "350m-moe128", "12 of 24 layers, width 1024, 4 x 2048, top-1", 12, 16.8e6, 508e6, 412.3,
		137.4, 47.6, 77, 25000 },
	{ "1.3b-moe128", "12 of 24 layers, width 2048, 4 x 2048, top-1", 12, 33.6e6, 1822e6, 1374.4,
		549.8, 49.5, 77, 25000 },
	/* As their authors configured them, 4096 tokens; gradients are those of the layers alone.
	 */
	{ "mixtral-8x7b", "32 layers, width 4096, 4096, top-2", 32, 67.1e6, 2686e6, 618.5, 2886,
		400, 400, 400000 },
	{ "qwen3-30b-a3b", "48 layers, width 2048, 4096, top-8", 48, 134.2e6, 1837e6, 429.5, 309.2,
		400, 400, 400000 },
	{ "deepseek-v3", "58 of 61 layers, width 7168, 4096, top-8", 58, 469.8e6, 27.0e9, 3268,
		2886, 400, 400, 400000 },
};
enum { NPRESETS = sizeof(presets) / sizeof(*presets) };

const struct moe_preset *moe_presets(size_t *npresets_p)
{
	*npresets_p = NPRESETS;
	return presets;
}

const struct moe_preset *moe_preset_find(const char *name)
{
	for (size_t i = 0; i < NPRESETS; i++)
		if (strcmp(presets[i].name, name) == 0)
			return &presets[i];
	return NULL;
}

/* Whole floats, one at least. */
static size_t whole(double bytes)
{
	size_t floats = (size_t)(bytes / sizeof(float));

	return (floats > 0 ? floats : 1) * sizeof(float);
}

struct moe_model moe_preset_model(const struct moe_preset *preset, double scale, int nranks)
{
	return (struct moe_model){
		.nlayers = preset->nlayers,
		.peer_bytes = whole(preset->alltoall_bytes / scale / nranks),
		.gradient_bytes = whole(preset->gradient_bytes / scale / preset->nlayers),
		.bucket_bytes = whole(ddp_bucket_bytes / scale),
		.attention_ms = preset->attention_gflop / preset->attention_tflops,
		.experts_ms = preset->experts_gflop / preset->experts_tflops,
	};
}
