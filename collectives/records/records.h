/*
 * Records of routing, from whatever wrote them: which experts tokens went to.
 *
 *     megatron  JSON lines {"step", "stage", "block", "layer", "rank", "num_tokens", "topk",
 *               "top_indices": [[expert, ...], ...]}, as --moe-routing-trace-path writes them
 *     vllm      a NumPy array (.npy) of integers [tokens][layers][topk], or [tokens][layers], as
 *               --enable-return-routed-experts gives them
 *     counts    JSON: an array [layers][experts] or [steps][layers][experts] of counts, by itself
 *               or as "logical_count" of an object, as SGLang and EPLB have them
 *     csv       text with commas; see below
 *
 * CSV: the first line names the columns, in any order: "layer" (or "layer_slot", "src_layer"),
 * "expert" and "count" (or "tokens", "token_score") are loads; "source" and "destination" (or
 * "src_expert", "dst_expert") in place of "expert" are tokens that go from an expert of the layer
 * to one of the next, or of that in a column "dst_layer"; "layer0", "layer1", ... are the paths of
 * tokens, one in each line, with the experts in each layer separated by blanks, the first choice
 * first. A column "step" is allowed in each; others are passed over. Where the first line has
 * numbers, three are layer, expert, count and four are layer, source, destination, count. Lines
 * that are empty or begin with '#' are passed over, and so is a byte order mark (UTF-8) in front of
 * a file.
 *
 * Layers have the numbers that the file gives them, 0 to LINA_LAYERS_MAX - 1, experts 0 to
 * LINA_EXPERTS_MAX - 1. Files are read once from front to back, in the memory of an input (input.h)
 * and, for JSON, 24 times the longest line or row of experts; with the option join, at most
 * three times LINA_RECORDS_JOIN_BYTES beside it.
 *
 * One thread at a time.
 */
#ifndef LINA_COLLECTIVES_RECORDS_RECORDS_H
#define LINA_COLLECTIVES_RECORDS_RECORDS_H

#include <stdbool.h>
#include <stdint.h>

#include "collectives/counts.h"
#include "collectives/records/input.h"

enum { LINA_RECORDS_JOIN_BYTES = 128 << 20, LINA_TOPK_MAX = 256 };

enum lina_records_format {
	LINA_RECORDS_AUTO, /* by content */
	LINA_RECORDS_MEGATRON,
	LINA_RECORDS_VLLM,
	LINA_RECORDS_COUNTS,
	LINA_RECORDS_CSV,
	LINA_RECORDS_NFORMATS
};

/* "megatron", ...; NULL for a value outside the enumeration. */
const char *lina_records_format_name(enum lina_records_format format);
/* -EINVAL: there is none of that name. */
int lina_records_format_parse(const char *name, enum lina_records_format *format_p);

struct lina_records_options {
	enum lina_records_format format;
	/* Of a CSV file only the lines whose column has this value; NULL: all. */
	const char *only_column, *only_value;
	/* Joins the layers of a step that are lines of their own (megatron) to the paths of its
	 * tokens. Lines of a rank belong together as long as step and number of tokens stay and the
	 * layer grows; at most LINA_RECORDS_JOIN_BYTES of them are held, and what is above is
	 * joined in parts. */
	bool join;
};

enum lina_record_kind { LINA_RECORD_COUNT, LINA_RECORD_TRANSITION, LINA_RECORD_TOKENS };

enum { LINA_NO_EXPERT = -1 }; /* a choice that was dropped, or a token that is padding */

struct lina_record {
	enum lina_record_kind kind;
	bool has_step;
	int64_t step; /* 0 without */
	/* LINA_RECORD_COUNT: tokens go to expert of layer. LINA_RECORD_TRANSITION: and then to
	 * next_expert of next_layer. */
	int layer, expert, next_layer, next_expert;
	double tokens;
	/* LINA_RECORD_TOKENS: the experts of tokens at one layer or several, best choice first. */
	int ntokens, nlayers, topk;
	const int *layers;  /* [nlayers], ascending */
	const int *experts; /* [ntokens][nlayers][topk], or LINA_NO_EXPERT */
};

struct lina_records;

/* Takes over the input, which is closed with the records or when this fails. -EINVAL: *fault_p says
 * what is wrong with the beginning; errors of the input; -ENOMEM. */
int lina_records_create(struct lina_input *in, const struct lina_records_options *options,
	struct lina_records **records_p, struct lina_plan_text_fault *fault_p);
/* NULL is allowed. */
void lina_records_destroy(struct lina_records *records);

/* The next record; its arrays stay until the next call. 1; 0 at the end; -EINVAL: *fault_p says
 * where the file is wrong and what was expected there; errors of the input; -ENOMEM. */
int lina_records_next(struct lina_records *records, struct lina_record *record_p,
	struct lina_plan_text_fault *fault_p);

/* Which one it is; and the input, for its progress. */
enum lina_records_format lina_records_format_of(const struct lina_records *records);
const struct lina_input *lina_records_input(const struct lina_records *records);

#endif
