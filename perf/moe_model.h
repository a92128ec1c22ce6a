/* The model that moe_step trains: what of it matters to the network. Pure: any thread, no state. */
#ifndef LINA_PERF_MOE_MODEL_H
#define LINA_PERF_MOE_MODEL_H

#include <stddef.h>
#include <stdint.h>

struct moe_model {
	int nlayers;
	size_t peer_bytes;     /* each rank sends to each in one all-to-all */
	size_t gradient_bytes; /* of one layer, experts left out; 0: no allreduce */
	size_t bucket_bytes;
	double attention_ms, experts_ms; /* forward */
};

/* A published model on the GPUs that it is trained on. */
struct moe_preset {
	const char *name, *what; /* layers with experts, width, tokens, experts of a token */
	int nlayers;             /* with experts */
	double alltoall_bytes;   /* one rank sends to all in one all-to-all */
	double gradient_bytes;   /* of the whole model, experts left out */
	double attention_gflop;  /* between the experts of two layers, forward */
	double experts_gflop;    /* forward */
	double attention_tflops, experts_tflops; /* of the GPU */
	uint32_t gpu_mbps;                       /* of the network, for each GPU */
};

/* All presets; *npresets_p is their number. */
const struct moe_preset *moe_presets(size_t *npresets_p);

/* The preset of that name, or NULL. */
const struct moe_preset *moe_preset_find(const char *name);

/* The preset on nranks ranks, each size divided by `scale` > 0 (the rate of its GPUs' network over
 * that of the links at hand), each time kept. Buckets are those of PyTorch's
 * DistributedDataParallel, 25 MB before they are divided. */
struct moe_model moe_preset_model(const struct moe_preset *preset, double scale, int nranks);

#endif
