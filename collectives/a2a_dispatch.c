#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "collectives/a2a.h"
#include "collectives/error.h"

/* ---- why a call is refused ------------------------------------------------------------------- */

enum { WHY_BYTES = 160 };

static void why_layout(
	const struct lina_call *call, int err, const struct lina_layout_fault *fault, char *why)
{
	const struct lina_a2a_settings *s = &call->a2a->settings;

	switch (fault->kind) {
	case LINA_LAYOUT_EXPERT:
		(void)snprintf(why, WHY_BYTES,
			"token %zu, choice %d: expert %d is not from 0 to %d", fault->token,
			fault->choice, fault->expert, call->layout->shape.nexperts - 1);
		break;
	case LINA_LAYOUT_SIZE:
		(void)snprintf(why, WHY_BYTES,
			"%zu tokens with %d choices: not from 0 to %zu with 1 to %d",
			call->tokens.n, call->tokens.nchoices, s->max_tokens, s->max_choices);
		break;
	case LINA_LAYOUT_BOUND:
		(void)snprintf(why, WHY_BYTES, "%u rows for rank %d: the bound is %u", fault->nrows,
			fault->device, s->bound);
		break;
	default:
		(void)snprintf(why, WHY_BYTES, "%s", strerror(-err));
	}
}

static void why_hello(const struct lina_call *call, int err, int rank, char *why)
{
	const struct lina_hello *hello = lina_hello_at(call->hello_in.at, call->a2a->nslots, rank);

	if (err == -ECANCELED)
		(void)snprintf(why, WHY_BYTES, "rank %d refused the call: %s", rank,
			strerror(-hello->err));
	else if (err == -ESTALE)
		(void)snprintf(why, WHY_BYTES, "rank %d follows another table", rank);
	else if (hello->layer != call->tokens.layer)
		(void)snprintf(why, WHY_BYTES, "rank %d came with layer %d and not %d", rank,
			hello->layer, call->tokens.layer);
	else
		(void)snprintf(why, WHY_BYTES, "rank %d said that %u rows for %u pairs come", rank,
			hello->nrows, hello->npairs);
}

static struct lina_hello_shape hello_shape(const struct lina_a2a *a2a)
{
	const struct lina_a2a_settings *s = &a2a->settings;
	uint32_t choices = (uint32_t)s->max_choices;
	uint32_t all = (uint32_t)s->max_tokens * choices;

	return (struct lina_hello_shape){ a2a->nranks, a2a->rank, a2a->nslots,
		s->bound > 0 ? s->bound : all,
		s->bound > 0 && s->bound < all / choices ? s->bound * choices : all, s->bound > 0 };
}

/* ---- what is sent ---------------------------------------------------------------------------- */

/* -EINVAL and the like: why has WHY_BYTES. */
static int build_layout(struct lina_call *call, const struct lina_route *route, char *why)
{
	const struct lina_a2a_settings *s = &call->a2a->settings;
	const struct lina_tokens *tokens = &call->tokens;
	struct lina_layout_in in = { route, tokens->experts, tokens->weights, tokens->n,
		tokens->nchoices, s->dedup, s->capacity, s->bound };
	struct lina_layout_fault fault;
	int err = lina_layout_build(call->layout, &in, &fault);

	if (err)
		why_layout(call, err, &fault, why);
	for (int r = 0; r < call->a2a->nranks; r++)
		call->home[r] = s->bound > 0 ? (uint32_t)r * s->bound : call->layout->row_begin[r];
	return err;
}

static void fill_hellos(struct lina_call *call, int err)
{
	const struct lina_a2a *a2a = call->a2a;
	const struct lina_layout *layout = call->layout;
	size_t nslots = (size_t)a2a->nslots;

	for (int r = 0; r < a2a->nranks; r++) {
		struct lina_hello *hello = lina_hello_at(call->hello_out.at, a2a->nslots, r);
		*hello = (struct lina_hello){ LINA_HELLO_MAGIC, call->table_id, call->next_id, err,
			call->tokens.layer, 0, 0 };
		hello->nrows = lina_call_rows_to(call, r);
		hello->npairs = layout->pair_begin[r + 1] - layout->pair_begin[r];
		memcpy(hello->slot_pairs, &layout->slot_pairs[(size_t)r * nslots],
			nslots * sizeof(*hello->slot_pairs));
	}
	memcpy(lina_hello_at(call->hello_in.at, a2a->nslots, a2a->rank),
		lina_hello_at(call->hello_out.at, a2a->nslots, a2a->rank),
		lina_hello_bytes(a2a->nslots));
}

static void count(struct lina_call *call)
{
	struct lina_a2a *a2a = call->a2a;
	const struct lina_layout *layout = call->layout;
	struct lina_a2a_stats *stats = &a2a->stats;
	const struct lina_plan_shape *shape = &a2a->tables.current->shape;
	uint64_t near = 0, kept = lina_call_rows_to(call, a2a->rank);

	for (int r = 0; r < a2a->nranks; r++)
		if (r != a2a->rank &&
			lina_plan_node_of(shape, r) == lina_plan_node_of(shape, a2a->rank))
			near += lina_call_rows_to(call, r);
	__atomic_add_fetch(&stats->tokens, layout->ntokens, __ATOMIC_RELAXED);
	__atomic_add_fetch(&stats->dropped, layout->ndropped, __ATOMIC_RELAXED);
	__atomic_add_fetch(&stats->rows_kept, kept, __ATOMIC_RELAXED);
	__atomic_add_fetch(&stats->rows_sent, layout->nrows - kept, __ATOMIC_RELAXED);
	__atomic_add_fetch(&stats->rows_to_node, near, __ATOMIC_RELAXED);
	__atomic_add_fetch(&stats->duplicates, layout->npairs - layout->nrows, __ATOMIC_RELAXED);
}

/* Rows and pairs for the other ranks, to where they are sent from. */
static void pack(void *arg)
{
	struct lina_call *call = arg;
	const struct lina_a2a *a2a = call->a2a;
	const struct lina_layout *layout = call->layout;
	size_t row_bytes = a2a->row_bytes;

	for (int r = 0; r < a2a->nranks; r++) {
		if (r == a2a->rank)
			continue;
		lina_pack_gather(call->near.at + call->home[r] * row_bytes, call->tokens.rows,
			row_bytes, &layout->row_token[layout->row_begin[r]],
			lina_call_rows_to(call, r));
		if (a2a->settings.dedup)
			memcpy(call->pairs_out.at + call->pair_leg[r].send_at,
				&layout->pair[layout->pair_begin[r]],
				(layout->pair_begin[r + 1] - layout->pair_begin[r]) *
					sizeof(*layout->pair));
	}
}

/* ---- what is received ------------------------------------------------------------------------ */

/* Parcels from the hellos, and where their rows and pairs lie. */
static int read_hellos(struct lina_call *call)
{
	const struct lina_a2a *a2a = call->a2a;
	const struct lina_hello_shape shape = hello_shape(a2a);
	int err = lina_hello_read(call->hello_in.at, &shape, call->parcel, call->slot_begin);

	for (int r = 0; r < a2a->nranks && !err; r++) {
		struct lina_parcel *parcel = &call->parcel[r];
		call->away[r] = parcel->base;
		if (a2a->settings.dedup && r == a2a->rank)
			parcel->pair = &call->layout->pair[call->layout->pair_begin[r]];
		else if (a2a->settings.dedup)
			parcel->pair = (const struct lina_pair *)(call->pairs_in.at +
								  call->pair_leg[r].recv_at);
	}
	return err;
}

/* Rows that stay here go straight to where the others come in. */
static void unpack(void *arg)
{
	struct lina_call *call = arg;
	struct lina_a2a *a2a = call->a2a;
	const struct lina_layout *layout = call->layout;
	int source, err = lina_arrival_build(call->arrival, call->parcel, &source);

	if (err) {
		call->err = err;
		lina_a2a_stream_fail(a2a, err, "what rank %d sent does not fit together", source);
		return;
	}
	lina_pack_gather(call->far.at + call->away[a2a->rank] * a2a->row_bytes, call->tokens.rows,
		a2a->row_bytes, &layout->row_token[layout->row_begin[a2a->rank]],
		lina_call_rows_to(call, a2a->rank));
	lina_pack_gather(call->rows.at, call->far.at, a2a->row_bytes, call->arrival->pair_row,
		call->arrival->npairs);
}

static void read_next_ids(struct lina_call *call)
{
	struct lina_a2a *a2a = call->a2a;

	for (int r = 0; r < a2a->nranks; r++)
		a2a->next_ids[r] = lina_hello_at(call->hello_in.at, a2a->nslots, r)->next_table;
}

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
	char why[WHY_BYTES];
	int err = call->err;

	if (!err) {
		err = build_layout(call, a2a->route[call->tokens.layer], why);
		if (err)
			lina_a2a_stream_fail(a2a, err, "%s", why);
	}
	call->err = err;
	fill_hellos(call, err);
	if (err)
		return;
	spread_terms(call);
	count(call);
	pack(call);
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
	const struct lina_hello_shape shape = hello_shape(a2a);
	char why[WHY_BYTES];
	int rank, err = lina_hello_check(call->hello_in.at, &shape, &rank);

	call->err = err;
	if (err) {
		clear_batch(call);
		why_hello(call, err, rank, why);
		lina_a2a_stream_fail(a2a, err, "%s", why);
		return;
	}
	read_next_ids(call);
	call->err = read_hellos(call);
	if (call->err)
		lina_a2a_stream_fail(a2a, call->err, "more comes than can be counted");
	else
		unpack(call);
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
	int err = lina_cuda(cudaLaunchHostFunc(stream, bound_pack, call), "cudaLaunchHostFunc");
	if (!err)
		err = lina_exchange(a2a, part, s->dedup ? 3 : 2, stream);
	if (!err)
		err = lina_cuda(
			cudaLaunchHostFunc(stream, bound_unpack, call), "cudaLaunchHostFunc");
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
		err = lina_cuda(cudaLaunchHostFunc(stream, pack, call), "cudaLaunchHostFunc");
	if (!err)
		err = lina_a2a_wait(a2a, call->met);
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

	if (!err && read_hellos(call) != 0)
		err = lina_fail(-ENOMEM, "more comes than can be counted");
	if (!err)
		err = lina_exchange(a2a, part, a2a->settings.dedup ? 2 : 1, stream);
	if (!err)
		err = lina_cuda(cudaLaunchHostFunc(stream, unpack, call), "cudaLaunchHostFunc");
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

/* Whatever is wrong with this rank's tokens, it meets the others and says so. */
static int dispatch_counted(struct lina_call *call, cudaStream_t stream)
{
	struct lina_a2a *a2a = call->a2a;
	const struct lina_hello_shape shape = hello_shape(a2a);
	const struct lina_route *route;
	char why[WHY_BYTES] = "";
	int rank, err = wait_for_tokens(call, stream);

	if (err)
		return err;
	int refused = lina_a2a_route(a2a, call->tokens.layer, &route);
	if (refused)
		(void)snprintf(why, sizeof(why), "%.150s", lina_last_error());
	else
		refused = build_layout(call, route, why);
	if (refused)
		lina_layout_clear(call->layout);
	fill_hellos(call, refused);
	err = place_sends(call);
	if (!err)
		err = meet(call, stream);
	if (err) {
		a2a->failed = err;
		return err;
	}
	read_next_ids(call);
	lina_tables_agree(&a2a->tables, a2a->next_ids, a2a->nranks);
	err = lina_hello_check(call->hello_in.at, &shape, &rank);
	if (err && !refused)
		why_hello(call, err, rank, why);
	if (err)
		return lina_fail(err, "%s", why);
	count(call);
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

	call->batch = (struct lina_batch){
		.rows = call->rows.at,
		.nslots = a2a->nslots,
		.expert = call->err ? NULL
				    : lina_plan_experts(a2a->tables.current, call->tokens.layer) +
					      (size_t)a2a->rank * (size_t)a2a->nslots,
		.slot_begin = call->slot_begin,
		.max_rows = call->rows.bytes / a2a->row_bytes,
	};
}

/* What needs no other rank, when what used the call before is over. With a bound the layout is made
 * later, and what is wrong with the call itself is said then. */
static int prepare(struct lina_call *call, const struct lina_tokens *tokens)
{
	struct lina_a2a *a2a = call->a2a;
	const struct lina_route *route;
	int err = call->used ? lina_a2a_wait(a2a, call->done) : 0;

	if (err)
		return err;
	if (a2a->settings.bound == 0)
		lina_tables_poll(&a2a->tables);
	call->tokens = *tokens;
	call->table_id = a2a->tables.current_id;
	call->next_id = a2a->tables.next_id;
	call->err = a2a->settings.bound > 0 ? lina_a2a_route(a2a, tokens->layer, &route) : 0;
	if (call->err) {
		lina_layout_clear(call->layout);
		lina_a2a_stream_fail(a2a, call->err, "%.150s", lina_last_error());
	}
	return 0;
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
		err = a2a->settings.bound > 0 ? dispatch_bound(call, stream)
					      : dispatch_counted(call, stream);
	a2a->stats.calls++;
	a2a->ncalls = (a2a->ncalls + 1) % a2a->settings.depth;
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
