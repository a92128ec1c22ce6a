#include <errno.h>
#include <stdlib.h>

#include "collectives/a2a.h"
#include "collectives/error.h"

static struct lina_call *call_of(struct lina_batch *batch)
{
	return (struct lina_call *)batch; /* its first member */
}

static struct lina_terms away_terms(const struct lina_call *call, int r)
{
	const struct lina_arrival *arrival = call->arrival;

	return (struct lina_terms){ &arrival->term_begin[call->away[r]], arrival->term_pair,
		arrival->term_weight };
}

/* Rows of one term each go back as they are. */
static bool back_is_summed(const struct lina_call *call)
{
	return call->a2a->settings.dedup && call->a2a->element != LINA_ELEMENT_OTHER;
}

/* The rows of rank r, from the experts' results to where they are sent from; this rank's own go
 * straight to where the others' come in. */
static void pack_back(struct lina_call *call, int r)
{
	bool stays = r == call->a2a->rank;
	struct lina_terms terms = away_terms(call, r);
	enum lina_stage stage = stays ? LINA_STAGE_STAY : LINA_STAGE_BACK;
	char *to = stays ? call->near.at : call->far.at;
	uint32_t first = stays ? call->home[r] : call->away[r];

	if (back_is_summed(call))
		lina_stage_sum(call, stage, to, first, call->made, &terms, call->parcel[r].nrows);
	else
		lina_stage_gather(call, stage, to, first, call->made, &terms.row[terms.begin[0]],
			call->parcel[r].nrows);
}

static void pack_all_back(void *arg)
{
	struct lina_call *call = arg;

	lina_stage_begin(call, LINA_STAGE_BACK);
	lina_stage_begin(call, LINA_STAGE_STAY);
	for (int r = 0; r < call->a2a->nranks && !call->err; r++)
		pack_back(call, r);
}

static void take_rows(struct lina_call *call)
{
	const struct lina_layout *layout = call->layout;
	uint32_t none = LINA_NO_ROW;

	for (size_t t = 0; t < layout->ntokens; t++) {
		uint32_t i = layout->term_begin[t];
		lina_stage_gather(call, LINA_STAGE_SUM, call->out, t, call->near.at,
			i < layout->term_begin[t + 1] ? &layout->term_row[i] : &none, 1);
	}
}

static void sum_up(void *arg)
{
	struct lina_call *call = arg;
	const struct lina_a2a *a2a = call->a2a;
	const struct lina_layout *layout = call->layout;
	struct lina_terms terms = { layout->term_begin, layout->term_row, layout->term_weight };
	size_t n = call->tokens.n, most = a2a->settings.max_tokens; /* more: that is the error */

	lina_stage_begin(call, LINA_STAGE_SUM);
	if (call->err)
		lina_stage_zero(call, LINA_STAGE_SUM, call->out, n < most ? n : most);
	else if (a2a->element == LINA_ELEMENT_OTHER)
		take_rows(call);
	else
		lina_stage_sum(
			call, LINA_STAGE_SUM, call->out, 0, call->near.at, &terms, layout->ntokens);
}

static int launch_back(struct lina_call *call, cudaStream_t stream)
{
	bool summed = back_is_summed(call);
	int err = lina_cuda(cudaLaunchHostFunc(stream, pack_all_back, call), "cudaLaunchHostFunc");

	if (!err)
		err = lina_stage_run(
			call, LINA_STAGE_BACK, call->far.at, call->made, summed, stream);
	return err ? err
		   : lina_stage_run(
			     call, LINA_STAGE_STAY, call->near.at, call->made, summed, stream);
}

static int launch_sums(struct lina_call *call, cudaStream_t stream)
{
	int err = lina_cuda(cudaLaunchHostFunc(stream, sum_up, call), "cudaLaunchHostFunc");

	return err ? err
		   : lina_stage_run(call, LINA_STAGE_SUM, call->out, call->near.at,
			     call->a2a->element != LINA_ELEMENT_OTHER, stream);
}

/* Everything goes back to where it came from. */
static int exchange_back(struct lina_call *call, cudaStream_t stream)
{
	struct lina_exchange part = { call->far.at, call->near.at, call->leg };

	for (int r = 0; r < call->a2a->nranks; r++) {
		struct lina_leg *leg = &call->leg[r];
		*leg = (struct lina_leg){ leg->recv_at, leg->recv_bytes, leg->send_at,
			leg->send_bytes };
	}
	return lina_exchange(call->a2a, &part, 1, stream);
}

int lina_a2a_combine(struct lina_batch *batch, const void *rows, void *out, cudaStream_t stream)
{
	struct lina_call *call = call_of(batch);
	struct lina_a2a *a2a = call->a2a;

	if (a2a->failed)
		return lina_fail(a2a->failed, "the communicator has failed before");
	if (!call->open)
		return lina_fail(-EINVAL, "this batch is not in use");
	if (a2a->element == LINA_ELEMENT_OTHER && a2a->settings.max_choices > 1)
		return lina_fail(-ENOTSUP, "there are no weighted sums of this element type");
	call->made = rows;
	call->out = out;
	int err = launch_back(call, stream);
	if (!err)
		err = exchange_back(call, stream);
	if (!err)
		err = launch_sums(call, stream);
	if (err)
		a2a->failed = err;
	lina_a2a_release(batch, stream);
	return err;
}

void lina_a2a_release(struct lina_batch *batch, cudaStream_t stream)
{
	struct lina_call *call = call_of(batch);

	call->open = false;
	call->used = cudaEventRecord(call->done, stream) == cudaSuccess;
}

/* ---- pipelined ------------------------------------------------------------------------------- */

/* The tokens of part i of n. */
static struct lina_tokens part_of(
	const struct lina_a2a *a2a, const struct lina_tokens *tokens, int i, int n, size_t *first_p)
{
	struct lina_tokens part = *tokens;
	size_t first = tokens->n * (size_t)i / (size_t)n;
	size_t end = tokens->n * ((size_t)i + 1) / (size_t)n;
	size_t choices = first * (size_t)tokens->nchoices;

	part.rows = (const char *)tokens->rows + first * a2a->row_bytes;
	part.experts = tokens->experts + choices;
	part.weights = tokens->weights != NULL ? tokens->weights + choices : NULL;
	part.n = end - first;
	*first_p = first;
	return part;
}

/* `after` goes on when `before` has come here. */
static int follow(cudaStream_t after, cudaStream_t before, cudaEvent_t event)
{
	int err = lina_cuda(cudaEventRecord(event, before), "cudaEventRecord");

	return err ? err : lina_cuda(cudaStreamWaitEvent(after, event, 0), "cudaStreamWaitEvent");
}

struct stage {
	struct lina_batch *batch;
	const void *made;
	char *out;
	cudaEvent_t computed;
};

static int start_part(struct lina_a2a *a2a, const struct lina_tokens *tokens, char *out,
	const struct lina_pipeline *pipeline, int i, struct stage *stage)
{
	size_t first;
	struct lina_tokens part = part_of(a2a, tokens, i, pipeline->nparts, &first);
	int err = lina_a2a_dispatch(a2a, &part, pipeline->comm, &stage->batch);

	if (err)
		return err;
	stage->out = out + first * a2a->row_bytes;
	stage->made = stage->batch->rows;
	err = follow(pipeline->compute, pipeline->comm, stage->computed);
	if (!err)
		err = pipeline->experts(
			pipeline->arg, i, stage->batch, pipeline->compute, &stage->made);
	if (!err)
		err = lina_cuda(
			cudaEventRecord(stage->computed, pipeline->compute), "cudaEventRecord");
	return err;
}

static int end_part(struct stage *stage, const struct lina_pipeline *pipeline)
{
	int err = lina_cuda(
		cudaStreamWaitEvent(pipeline->comm, stage->computed, 0), "cudaStreamWaitEvent");

	return err ? err : lina_a2a_combine(stage->batch, stage->made, stage->out, pipeline->comm);
}

/* A part that is not combined gives its batch back, when what the experts do with it is over. */
static void drop_part(struct stage *stage, const struct lina_pipeline *pipeline)
{
	if (stage->batch == NULL || !call_of(stage->batch)->open)
		return;
	(void)follow(pipeline->comm, pipeline->compute, stage->computed);
	lina_a2a_release(stage->batch, pipeline->comm);
}

/* Part i is combined after part i + 1 was sent. */
static int run_parts(struct lina_a2a *a2a, const struct lina_tokens *tokens, void *out,
	const struct lina_pipeline *pipeline, struct stage *stage)
{
	int err = 0;

	for (int i = 0; i < pipeline->nparts && !err; i++) {
		err = start_part(a2a, tokens, out, pipeline, i, &stage[i % 2]);
		if (!err && i > 0)
			err = end_part(&stage[(i - 1) % 2], pipeline);
	}
	if (!err)
		err = end_part(&stage[(pipeline->nparts - 1) % 2], pipeline);
	for (int i = 0; i < 2 && err; i++)
		drop_part(&stage[i], pipeline);
	return err;
}

int lina_a2a_pipeline(struct lina_a2a *a2a, const struct lina_tokens *tokens, void *out,
	const struct lina_pipeline *pipeline)
{
	struct stage stage[2] = { { 0 }, { 0 } };

	if (pipeline->nparts < 1 || (pipeline->nparts > 1 && a2a->settings.depth < 2))
		return lina_fail(-EINVAL, "%d parts with a depth of %d", pipeline->nparts,
			a2a->settings.depth);
	int err = lina_cuda(cudaEventCreateWithFlags(&stage[0].computed, cudaEventDisableTiming),
		"cudaEventCreateWithFlags");
	if (err)
		return err;
	err = lina_cuda(cudaEventCreateWithFlags(&stage[1].computed, cudaEventDisableTiming),
		"cudaEventCreateWithFlags");
	if (!err) {
		err = run_parts(a2a, tokens, out, pipeline, stage);
		(void)cudaEventDestroy(stage[1].computed);
	}
	(void)cudaEventDestroy(stage[0].computed);
	return err;
}
