#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "collectives/a2a_rows.h"
#include "collectives/error.h"

/* ---- with a bound: nothing waits ------------------------------------------------------------- */

/* Where a layout counts rows one after the other, here each rank's begin at a multiple of bound. */
static void spread_terms(struct lina_call *call)
{
	const struct lina_layout *layout = call->layout;

	for (uint32_t i = 0; i < layout->term_begin[layout->ntokens]; i++) {
		int low = 0, high = call->a2a->nranks; /* row_begin[low] <= row < row_begin[high] */
		uint32_t row = layout->term_row[i];
		while (high - low > 1) {
			int middle = low + (high - low) / 2;
			if (layout->row_begin[middle] <= row)
				low = middle;
			else
				high = middle;
		}
		layout->term_row[i] = call->home[low] + row - layout->row_begin[low];
	}
}

static void bound_pack(void *arg)
{
	struct lina_call *call = arg;
	struct lina_a2a *a2a = call->a2a;
	char why[LINA_WHY_BYTES];
	int err = call->err;

	lina_stage_begin(call, LINA_STAGE_SEND);
	if (!err) {
		err = lina_rows_layout(call, a2a->route[call->tokens.layer], why);
		if (err)
			lina_a2a_stream_fail(a2a, err, "%s", why);
	}
	call->err = err;
	lina_rows_hello(call, err);
	if (err)
		return;
	spread_terms(call);
	lina_rows_count(call);
	lina_rows_pack(call);
}

/* Nothing came. */
static void clear_batch(struct lina_call *call)
{
	memset(call->slot_begin, 0, ((size_t)call->a2a->nslots + 1) * sizeof(*call->slot_begin));
}

static void bound_unpack(void *arg)
{
	struct lina_call *call = arg;
	struct lina_a2a *a2a = call->a2a;
	const struct lina_hello_shape shape = lina_rows_hello_shape(a2a);
	char why[LINA_WHY_BYTES];
	int rank, err = lina_hello_check(call->hello_in.at, &shape, &rank);

	call->err = err;
	lina_rows_begin(call);
	if (err) {
		clear_batch(call);
		lina_rows_why(call, err, rank, why);
		lina_a2a_stream_fail(a2a, err, "%s", why);
		return;
	}
	lina_rows_next_ids(call);
	call->err = lina_rows_read_hellos(call);
	if (call->err)
		lina_a2a_stream_fail(a2a, call->err, "more comes than can be counted");
	else
		lina_rows_unpack(call);
	if (call->err)
		clear_batch(call);
}

static int dispatch_bound(struct lina_call *call, cudaStream_t stream)
{
	struct lina_a2a *a2a = call->a2a;
	const struct lina_a2a_settings *s = &a2a->settings;
	size_t rows = s->bound * a2a->row_bytes;
	size_t pairs = (size_t)s->bound * (size_t)s->max_choices * sizeof(struct lina_pair);
	struct lina_exchange part[] = {
		{ call->hello_out.at, call->hello_in.at, a2a->hello_leg },
		{ call->near.at, call->far.at, call->leg },
		{ call->pairs_out.at, call->pairs_in.at, call->pair_leg },
	};

	for (int r = 0; r < a2a->nranks; r++) {
		size_t i = (size_t)r;
		call->leg[r] = (struct lina_leg){ i * rows, rows, i * rows, rows };
		call->pair_leg[r] = (struct lina_leg){ i * pairs, pairs, i * pairs, pairs };
	}
	int err = lina_rows_launch_pack(call, bound_pack, stream);
	if (!err)
		err = lina_exchange(a2a, part, s->dedup ? 3 : 2, stream);
	if (!err)
		err = lina_rows_launch_unpack(call, bound_unpack, stream);
	if (!err)
		err = lina_cuda(cudaEventRecord(call->met, stream), "cudaEventRecord");
	return err;
}

/* ---- without: the counts come first ---------------------------------------------------------- */

static int meet(struct lina_call *call, cudaStream_t stream)
{
	struct lina_a2a *a2a = call->a2a;
	struct lina_exchange part = { call->hello_out.at, call->hello_in.at, a2a->hello_leg };
	int err = lina_exchange(a2a, &part, 1, stream);

	if (!err)
		err = lina_cuda(cudaEventRecord(call->met, stream), "cudaEventRecord");
	/* Meanwhile rows are packed. */
	if (!err)
		err = lina_rows_launch_pack(call, lina_rows_pack, stream);
	if (!err)
		err = lina_call_wait(call, call->met);
	return err;
}

/* Sizes and places of what is sent: known before the ranks meet. */
static int place_sends(struct lina_call *call)
{
	struct lina_a2a *a2a = call->a2a;
	const struct lina_layout *layout = call->layout;

	for (int r = 0; r < a2a->nranks; r++) {
		size_t npairs = layout->pair_begin[r + 1] - layout->pair_begin[r];
		call->leg[r] = (struct lina_leg){ .send_at = call->home[r] * a2a->row_bytes,
			.send_bytes = lina_call_rows_to(call, r) * a2a->row_bytes };
		call->pair_leg[r] = (struct lina_leg){ .send_at = layout->pair_begin[r] *
								  sizeof(struct lina_pair),
			.send_bytes = npairs * sizeof(struct lina_pair) };
	}
	return lina_buffer_reserve(a2a, &call->near, layout->nrows * a2a->row_bytes);
}

static int place_receives(struct lina_call *call)
{
	struct lina_a2a *a2a = call->a2a;
	size_t nrows = 0, npairs = 0;

	for (int r = 0; r < a2a->nranks; r++) {
		const struct lina_hello *hello = lina_hello_at(call->hello_in.at, a2a->nslots, r);
		call->leg[r].recv_at = nrows * a2a->row_bytes;
		call->leg[r].recv_bytes = hello->nrows * a2a->row_bytes;
		call->pair_leg[r].recv_at = npairs * sizeof(struct lina_pair);
		call->pair_leg[r].recv_bytes = hello->npairs * sizeof(struct lina_pair);
		nrows += hello->nrows;
		npairs += hello->npairs;
	}
	if (npairs > UINT32_MAX)
		return lina_fail(-ENOMEM, "%zu rows come in", npairs);
	int err = lina_buffer_reserve(a2a, &call->far, nrows * a2a->row_bytes);
	if (!err)
		err = lina_buffer_reserve(a2a, &call->rows, npairs * a2a->row_bytes);
	if (!err && a2a->settings.dedup)
		err = lina_buffer_reserve(a2a, &call->pairs_in, npairs * sizeof(struct lina_pair));
	/* These three hold what comes, and are not in use now. */
	for (int i = LINA_STAGE_ARRIVE; i <= LINA_STAGE_STAY && !err; i++)
		err = lina_index_reserve(a2a, &call->index[i], npairs);
	if (!err && lina_arrival_reserve(call->arrival, npairs, nrows) != 0)
		err = lina_fail(-ENOMEM, "no memory for %zu rows", npairs);
	return err;
}

static int exchange_rows(struct lina_call *call, cudaStream_t stream)
{
	struct lina_a2a *a2a = call->a2a;
	int err = place_receives(call); /* where buffers may move */
	struct lina_exchange part[] = {
		{ call->near.at, call->far.at, call->leg },
		{ call->pairs_out.at, call->pairs_in.at, call->pair_leg },
	};

	if (!err && lina_rows_read_hellos(call) != 0)
		err = lina_fail(-ENOMEM, "more comes than can be counted");
	if (!err)
		err = lina_exchange(a2a, part, a2a->settings.dedup ? 2 : 1, stream);
	if (!err)
		err = lina_rows_launch_unpack(call, lina_rows_unpack, stream);
	if (err) /* the others go on and wait for this rank */
		a2a->failed = err;
	return err;
}

/* The choices are read when the stream has come here. */
static int wait_for_tokens(struct lina_call *call, cudaStream_t stream)
{
	int err = lina_cuda(cudaEventRecord(call->met, stream), "cudaEventRecord");

	return err ? err : lina_a2a_wait(call->a2a, call->met);
}

/* Where there are no sums, combine returns what came. Weights are refused here, where all ranks
 * learn of it: those that gave none would wait for this one there. */
static int find_route(const struct lina_call *call, const struct lina_route **route_p)
{
	struct lina_a2a *a2a = call->a2a;

	if (a2a->element == LINA_ELEMENT_OTHER && call->tokens.weights != NULL)
		return lina_fail(-ENOTSUP,
			"weights for elements of NCCL's type %d, of which there are no sums",
			(int)a2a->settings.type);
	return lina_a2a_route(a2a, call->tokens.layer, route_p);
}

/* Whatever is wrong with this rank's tokens, it meets the others and says so. */
static int dispatch_counted(struct lina_call *call, cudaStream_t stream)
{
	struct lina_a2a *a2a = call->a2a;
	const struct lina_hello_shape shape = lina_rows_hello_shape(a2a);
	const struct lina_route *route = NULL;
	char why[LINA_WHY_BYTES] = "";
	int rank, err = wait_for_tokens(call, stream);

	if (err)
		return err;
	int refused = find_route(call, &route);
	if (refused)
		(void)snprintf(why, sizeof(why), "%.150s", lina_last_error());
	else
		refused = lina_rows_layout(call, route, why);
	if (refused)
		lina_layout_clear(call->layout);
	lina_rows_hello(call, refused);
	err = place_sends(call);
	if (!err)
		err = meet(call, stream);
	if (err) {
		a2a->failed = err;
		return err;
	}
	lina_rows_next_ids(call);
	lina_tables_agree(&a2a->tables, a2a->next_ids, a2a->nranks);
	err = lina_hello_check(call->hello_in.at, &shape, &rank);
	if (err && !refused)
		lina_rows_why(call, err, rank, why);
	if (err)
		return lina_fail(err, "%s", why);
	lina_rows_count(call);
	return exchange_rows(call, stream);
}

/* ---- the call -------------------------------------------------------------------------------- */

static struct lina_call *find_free(struct lina_a2a *a2a)
{
	for (int i = 0; i < a2a->settings.depth; i++) {
		struct lina_call *call = &a2a->call[(a2a->ncalls + i) % a2a->settings.depth];
		if (!call->open)
			return call;
	}
	return NULL;
}

static void show_batch(struct lina_call *call)
{
	const struct lina_a2a *a2a = call->a2a;
	const struct lina_plan *plan = a2a->tables.current;
	int layer = call->tokens.layer;
	const int *expert = a2a->empty;

	/* With a bound a wrong call comes here as well, and the stream is at work on it. */
	if (layer >= 0 && layer < plan->shape.nlayers)
		expert = lina_plan_experts(plan, layer) + (size_t)a2a->rank * (size_t)a2a->nslots;
	call->batch = (struct lina_batch){
		.rows = call->rows.at,
		.nslots = a2a->nslots,
		.expert = expert,
		.slot_begin = call->slot_begin,
		.max_rows = call->rows.bytes / a2a->row_bytes,
	};
}

/* What needs no other rank, when what used the call before is over. With a bound the layout is made
 * later, and what is wrong with the call itself is said then. */
static int prepare(struct lina_call *call, const struct lina_tokens *tokens)
{
	struct lina_a2a *a2a = call->a2a;
	const struct lina_route *route = NULL;
	int err = call->used ? lina_call_wait(call, call->done) : 0;

	if (err)
		return err;
	if (a2a->settings.bound == 0)
		lina_tables_poll(&a2a->tables);
	call->tokens = *tokens;
	call->table_id = a2a->tables.current_id;
	call->next_id = a2a->tables.next_id;
	call->err = a2a->settings.bound > 0 ? find_route(call, &route) : 0;
	if (call->err) {
		lina_layout_clear(call->layout);
		lina_a2a_stream_fail(a2a, call->err, "%.150s", lina_last_error());
	}
	return 0;
}

/* Where kernels pack, the choices may be where the processor does not see them. What is wrong with
 * their number is found later. */
static int fetch_choices(struct lina_call *call, cudaStream_t stream)
{
	const struct lina_a2a_settings *s = &call->a2a->settings;
	struct lina_tokens *tokens = &call->tokens;
	size_t n = tokens->n * (size_t)tokens->nchoices,
	       most = s->max_tokens * (size_t)s->max_choices;
	int32_t *experts = (int32_t *)(void *)call->choices.at;
	int err;

	if (call->a2a->cuda == NULL || n == 0 || tokens->nchoices < 1 ||
		tokens->nchoices > s->max_choices || tokens->n > s->max_tokens)
		return 0;
	err = lina_cuda(cudaMemcpyAsync(experts, tokens->experts, n * sizeof(*experts),
				cudaMemcpyDefault, stream),
		"cudaMemcpyAsync");
	if (!err && tokens->weights != NULL)
		err = lina_cuda(cudaMemcpyAsync(experts + most, tokens->weights, n * sizeof(float),
					cudaMemcpyDefault, stream),
			"cudaMemcpyAsync");
	tokens->experts = experts;
	if (tokens->weights != NULL)
		tokens->weights = (const float *)(const void *)(experts + most);
	return err;
}

int lina_a2a_dispatch(struct lina_a2a *a2a, const struct lina_tokens *tokens, cudaStream_t stream,
	struct lina_batch **batch_p)
{
	struct lina_call *call = find_free(a2a);

	if (a2a->failed)
		return lina_fail(a2a->failed, "the communicator has failed before");
	if (call == NULL)
		return lina_fail(-EBUSY, "all %d batches are in use", a2a->settings.depth);
	int err = prepare(call, tokens);
	if (!err)
		err = fetch_choices(call, stream);
	if (!err)
		err = a2a->settings.bound > 0 ? dispatch_bound(call, stream)
					      : dispatch_counted(call, stream);
	a2a->stats.calls++;
	a2a->ncalls = (a2a->ncalls + 1) % a2a->settings.depth;
	if (err == -EIO) /* others may go on and wait for this rank */
		a2a->failed = err;
	if (err) {
		lina_a2a_release(&call->batch, stream);
		return err;
	}
	call->open = true;
	a2a->latest = call;
	show_batch(call);
	*batch_p = &call->batch;
	return 0;
}
