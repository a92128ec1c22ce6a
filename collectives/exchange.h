/*
 * Placements in the formats of others, both ways.
 *
 *     eplb     EPLB's phy2log as JSON: [layers][slots] of experts
 *     sglang   JSON {"physical_to_logical_map": [layers][slots]}, as --init-expert-location reads
 * it trtllm   YAML with num_slots, initial_global_assignments: {layer: [expert of each slot]} and
 *              layer_updates_per_iter, as TensorRT-LLM's load balancer reads it
 *
 * None of them knows empty slots, nor shares: replicas serve evenly. Slots are those of device 0,
 * then of device 1, and so on.
 *
 * And traffic as nccl-tests reads it (NCCL_TESTS_ALLTOALLV_MATRIX_FILE): bytes from rank i, row, to
 * rank j, column.
 *
 * Pure; any thread.
 */
#ifndef LINA_COLLECTIVES_EXCHANGE_H
#define LINA_COLLECTIVES_EXCHANGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "collectives/counts.h"
#include "collectives/plan_io.h"

enum lina_exchange_format {
	LINA_EXCHANGE_EPLB,
	LINA_EXCHANGE_SGLANG,
	LINA_EXCHANGE_TRTLLM,
	LINA_EXCHANGE_NCCL_TESTS,
	LINA_EXCHANGE_NFORMATS
};

/* "eplb", "sglang", "trtllm", "nccl-tests"; NULL outside the enumeration. */
const char *lina_exchange_format_name(enum lina_exchange_format format);
/* -EINVAL: there is none of that name. */
int lina_exchange_format_parse(const char *name, enum lina_exchange_format *format_p);

/* The text of a plan, ended with a zero that *bytes_p does not count; the caller frees it. Layers
 * of trtllm are numbered from first_layer. -ENOTSUP: a slot is empty, *slot_p (over all layers);
 * -EINVAL: a format that holds no placement; -ENOMEM. */
int lina_exchange_encode(const struct lina_plan *plan, enum lina_exchange_format format,
	int first_layer, char **text_p, size_t *bytes_p, size_t *slot_p);

/* What such a text does not say. */
struct lina_exchange_shape {
	int ndevices, nnodes;
	int nexperts; /* 0: one more than the largest that is placed */
};

/* A plan of a text; shares are even. -EINVAL: *fault_p says what is wrong, and where as far as that
 * is known (JSON: of values it is not, then line is 0 and the text names layer and slot); -ENOMEM.
 * Layers of trtllm are taken in ascending order. */
int lina_exchange_decode(const char *text, size_t bytes, enum lina_exchange_format format,
	const struct lina_exchange_shape *shape, struct lina_plan **plan_p,
	struct lina_plan_text_fault *fault_p);

/* Does a plan divide the tokens of some expert unevenly, which no format but ours says? */
bool lina_exchange_loses_shares(const struct lina_plan *plan);

/* --- traffic --- */

/* What one all-to-all of a layer sends, bytes_p[from][to], the tokens of each expert beginning
 * evenly on all devices and going to its replicas by their shares, nearest first, as
 * lina_layer_load_add has it. The caller frees it. -EINVAL: counts do not fit the plan; -ENOMEM. */
int lina_exchange_traffic(const struct lina_plan *plan, const struct lina_counts *counts, int layer,
	double token_bytes, double **bytes_p);

/* As text, whole bytes. -ENOMEM. */
int lina_exchange_matrix_encode(const double *bytes, int n, char **text_p, size_t *size_p);
/* Square, numbers not below 0; [*n_p][*n_p], the caller frees it. -EINVAL, -ENOMEM. */
int lina_exchange_matrix_decode(const char *text, size_t size, double **bytes_p, int *n_p,
	struct lina_plan_text_fault *fault_p);

#endif
