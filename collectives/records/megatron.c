/* JSON lines of Megatron's router, one for each layer, rank and forward pass. */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collectives/records/format.h"

/* What a line says. */
struct line {
	int64_t step, rank;
	int layer, ntokens, topk;
	const json_t *top; /* [ntokens][topk] */
};

/* The layers of a rank's forward pass that have come, to be joined. */
struct pass {
	int64_t step, rank;
	int ntokens, topk, nlayers;
	struct lina_ints layers;  /* [nlayers] */
	struct lina_ints experts; /* [nlayers][ntokens][topk] */
};

struct trace {
	bool join;
	struct pass **pass; /* [npasses], one for each rank */
	size_t npasses, leaving;
	size_t joined_bytes; /* of all passes */
	bool ends;
	struct lina_ints out; /* [ntokens][nlayers][topk], what a record shows */
	struct line line;     /* waits until the pass before it has left, if json is set */
	json_t *json;
	int layers[LINA_LAYERS_MAX];
};

static bool knows(const char *bytes, size_t n)
{
	static const char *const keys[] = { "\"layer\"", "\"top_indices\"", "\"topk\"" };
	bool found = false;

	if (n == 0 || *bytes != '{')
		return false;
	for (size_t i = 0; i < sizeof(keys) / sizeof(*keys) && !found; i++)
		found = memmem(bytes, n, keys[i], strlen(keys[i]));
	return found && !memmem(bytes, n, "\"logical_count\"", strlen("\"logical_count\""));
}

/* --- lines --- */

/* Where a line is wrong: at the name of a member if it has it. */
struct place {
	const char *text;
	int line;
	struct lina_plan_text_fault *fault;
};

static int column_of(const struct place *place, const char *key)
{
	char quoted[32];
	const char *at;

	(void)snprintf(quoted, sizeof(quoted), "\"%s\"", key);
	at = strstr(place->text, quoted);
	return at ? (int)(at - place->text) + 1 : 1;
}

static int member_int(const json_t *object, const char *key, json_int_t least, json_int_t most,
	const struct place *place, int64_t *number_p)
{
	const json_t *value = json_object_get(object, key);

	if (!json_is_integer(value) || json_integer_value(value) < least ||
		json_integer_value(value) > most)
		return lina_input_fault(place->fault, place->line, column_of(place, key),
			"expected \"%s\": a whole number from %lld to %lld", key, (long long)least,
			(long long)most);
	*number_p = json_integer_value(value);
	return 0;
}

static int tokens_check(const struct line *line, const struct place *place)
{
	int column = column_of(place, "top_indices");

	for (int t = 0; t < line->ntokens; t++) {
		const json_t *token = json_array_get(line->top, (size_t)t);

		if (json_array_size(token) != (size_t)line->topk)
			return lina_input_fault(place->fault, place->line, column,
				"expected \"top_indices\" with %d experts for token %d, not %zu",
				line->topk, t, json_array_size(token));
		for (int k = 0; k < line->topk; k++) {
			const json_t *expert = json_array_get(token, (size_t)k);

			if (!json_is_integer(expert) ||
				json_integer_value(expert) < LINA_NO_EXPERT ||
				json_integer_value(expert) >= LINA_EXPERTS_MAX)
				return lina_input_fault(place->fault, place->line, column,
					"expected \"top_indices\" with experts from 0 to %d, or "
					"-1, for token %d",
					LINA_EXPERTS_MAX - 1, t);
		}
	}
	return 0;
}

static int line_check(const json_t *object, const struct place *place, struct line *line_p)
{
	int64_t layer = 0, topk = 0, ntokens = 0;
	struct line line = { 0 };
	int err = json_is_object(object)
			  ? 0
			  : lina_input_fault(place->fault, place->line, 1, "expected an object");

	if (!err)
		err = member_int(object, "layer", 0, LINA_LAYERS_MAX - 1, place, &layer);
	if (!err)
		err = member_int(object, "step", INT64_MIN, INT64_MAX, place, &line.step);
	if (!err && json_object_get(object, "rank"))
		err = member_int(object, "rank", 0, LINA_DEVICES_MAX - 1, place, &line.rank);
	if (!err)
		err = member_int(object, "num_tokens", 0, LINA_INPUT_PIECE_MAX, place, &ntokens);
	if (!err)
		err = member_int(object, "topk", 1, LINA_TOPK_MAX, place, &topk);
	if (err)
		return err;
	line.layer = (int)layer;
	line.topk = (int)topk;
	line.ntokens = (int)ntokens;
	line.top = json_object_get(object, "top_indices");
	if (!json_is_array(line.top) || json_array_size(line.top) != (size_t)ntokens)
		return lina_input_fault(place->fault, place->line, column_of(place, "top_indices"),
			"expected \"top_indices\": an array for each of %d tokens", line.ntokens);
	*line_p = line;
	return tokens_check(&line, place);
}

/* The next line to trace->json and line. 1; 0: there is none. */
static int line_read(
	struct trace *trace, struct lina_input *in, struct lina_plan_text_fault *fault_p)
{
	struct place place = { .fault = fault_p };
	json_error_t wrong;
	char *text;
	size_t n;
	int got;

	do {
		got = lina_input_line(in, &text, &n, fault_p);
		if (got <= 0)
			return got;
	} while (text[strspn(text, " \t")] == '\0' && strlen(text) == n);
	place.text = text;
	place.line = lina_input_at_line(in);
	trace->json = json_loadb(text, n, 0, &wrong);
	if (!trace->json)
		return lina_input_fault(
			fault_p, place.line, wrong.column > 0 ? wrong.column : 1, "%s", wrong.text);
	got = line_check(trace->json, &place, &trace->line);
	return got < 0 ? got : 1;
}

static void line_drop(struct trace *trace)
{
	json_decref(trace->json);
	trace->json = NULL;
}

/* The experts of all tokens, one token after the other, to out. */
static void line_experts(const struct line *line, int *out)
{
	for (int t = 0; t < line->ntokens; t++) {
		const json_t *token = json_array_get(line->top, (size_t)t);

		for (int k = 0; k < line->topk; k++)
			*out++ = (int)json_integer_value(json_array_get(token, (size_t)k));
	}
}

/* A record of a line by itself. */
static int line_show(
	struct trace *trace, struct lina_record *record_p, struct lina_plan_text_fault *fault_p)
{
	const struct line *line = &trace->line;
	size_t n = (size_t)line->ntokens * (size_t)line->topk;
	int err = lina_ints_reserve(&trace->out, n, fault_p);

	if (err)
		return err;
	if (n)
		line_experts(line, trace->out.at);
	trace->layers[0] = line->layer;
	*record_p = (struct lina_record){ .kind = LINA_RECORD_TOKENS,
		.has_step = true,
		.step = line->step,
		.ntokens = line->ntokens,
		.nlayers = 1,
		.topk = line->topk,
		.layers = trace->layers,
		.experts = trace->out.at };
	line_drop(trace);
	return 1;
}

/* --- passes --- */

static size_t pass_bytes(const struct pass *p)
{
	return (size_t)p->nlayers * (size_t)p->ntokens * (size_t)p->topk * sizeof(int);
}

/* The pass of a rank, made if there is none. NULL: no memory. */
static struct pass *pass_find(struct trace *trace, int64_t rank)
{
	struct pass **passes, *p;

	for (size_t i = 0; i < trace->npasses; i++)
		if (trace->pass[i]->rank == rank)
			return trace->pass[i];
	passes = realloc(trace->pass, (trace->npasses + 1) * sizeof(struct pass *));
	if (!passes)
		return NULL;
	trace->pass = passes;
	p = calloc(1, sizeof(*p));
	if (!p)
		return NULL;
	p->rank = rank;
	trace->pass[trace->npasses++] = p;
	return p;
}

static bool pass_goes_on(const struct pass *p, const struct line *line)
{
	return p->nlayers && p->step == line->step && p->ntokens == line->ntokens &&
	       p->topk == line->topk && p->layers.at[p->nlayers - 1] < line->layer;
}

static int pass_add(struct trace *trace, struct pass *p, struct lina_plan_text_fault *fault_p)
{
	const struct line *line = &trace->line;
	size_t n = (size_t)line->ntokens * (size_t)line->topk, used = n * (size_t)p->nlayers;
	int err = lina_ints_reserve(&p->experts, used + n, fault_p);

	if (!err)
		err = lina_ints_reserve(&p->layers, (size_t)p->nlayers + 1, fault_p);
	if (err)
		return err;
	if (n)
		line_experts(line, p->experts.at + used);
	p->step = line->step;
	p->ntokens = line->ntokens;
	p->topk = line->topk;
	p->layers.at[p->nlayers++] = line->layer;
	trace->joined_bytes += n * sizeof(int);
	line_drop(trace);
	return 0;
}

/* A record of a pass, which is empty then. */
static int pass_show(struct trace *trace, struct pass *p, struct lina_record *record_p,
	struct lina_plan_text_fault *fault_p)
{
	size_t k = (size_t)p->topk, per_token = k * (size_t)p->nlayers;
	size_t per_layer = k * (size_t)p->ntokens;
	int err = lina_ints_reserve(&trace->out, per_token * (size_t)p->ntokens, fault_p);

	if (err)
		return err;
	for (size_t l = 0; l < (size_t)p->nlayers; l++)
		for (size_t t = 0; t < (size_t)p->ntokens; t++)
			memcpy(&trace->out.at[t * per_token + l * k],
				&p->experts.at[l * per_layer + t * k], k * sizeof(int));
	memcpy(trace->layers, p->layers.at, (size_t)p->nlayers * sizeof(int));
	*record_p = (struct lina_record){ .kind = LINA_RECORD_TOKENS,
		.has_step = true,
		.step = p->step,
		.ntokens = p->ntokens,
		.nlayers = p->nlayers,
		.topk = p->topk,
		.layers = trace->layers,
		.experts = trace->out.at };
	trace->joined_bytes -= pass_bytes(p);
	p->nlayers = 0;
	free(p->experts.at); /* so that ranks that are done hold nothing */
	p->experts = (struct lina_ints){ NULL, 0 };
	return 1;
}

static int join_next(struct trace *trace, struct lina_input *in, struct lina_record *record_p,
	struct lina_plan_text_fault *fault_p)
{
	while (!trace->ends) {
		struct pass *p;
		size_t more;
		int got = trace->json ? 1 : line_read(trace, in, fault_p);

		if (got < 0)
			return got;
		trace->ends = !got;
		if (!got)
			break;
		p = pass_find(trace, trace->line.rank);
		if (!p)
			return lina_records_no_memory(fault_p);
		more = (size_t)trace->line.ntokens * (size_t)trace->line.topk * sizeof(int);
		if (p->nlayers && (!pass_goes_on(p, &trace->line) ||
					  trace->joined_bytes + more > LINA_RECORDS_JOIN_BYTES))
			return pass_show(trace, p, record_p, fault_p);
		got = pass_add(trace, p, fault_p);
		if (got)
			return got;
	}
	for (; trace->leaving < trace->npasses; trace->leaving++)
		if (trace->pass[trace->leaving]->nlayers)
			return pass_show(trace, trace->pass[trace->leaving], record_p, fault_p);
	return 0;
}

static int trace_next(void *state, struct lina_input *in, struct lina_record *record_p,
	struct lina_plan_text_fault *fault_p)
{
	struct trace *trace = state;
	int got;

	if (trace->join)
		return join_next(trace, in, record_p, fault_p);
	got = line_read(trace, in, fault_p);
	return got <= 0 ? got : line_show(trace, record_p, fault_p);
}

/* --- life --- */

static int trace_open(struct lina_input *in, const struct lina_records_options *options,
	void **state_p, struct lina_plan_text_fault *fault_p)
{
	struct trace *trace = calloc(1, sizeof(*trace));

	(void)in;
	if (!trace)
		return lina_records_no_memory(fault_p);
	trace->join = options->join;
	*state_p = trace;
	return 0;
}

static void trace_close(void *state)
{
	struct trace *trace = state;

	for (size_t i = 0; i < trace->npasses; i++) {
		free(trace->pass[i]->experts.at);
		free(trace->pass[i]->layers.at);
		free(trace->pass[i]);
	}
	free(trace->pass);
	free(trace->out.at);
	line_drop(trace);
	free(trace);
}

const struct lina_records_ops lina_records_megatron = { knows, trace_open, trace_next,
	trace_close };
