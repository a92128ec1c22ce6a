#include "collectives/a2a_rows.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "collectives/error.h"

/* ---- why a call is refused ------------------------------------------------------------------- */

static void why_layout(
	const struct lina_call *call, int err, const struct lina_layout_fault *fault, char *why)
{
	const struct lina_a2a_settings *s = &call->a2a->settings;

	switch (fault->kind) {
	case LINA_LAYOUT_EXPERT:
		(void)snprintf(why, LINA_WHY_BYTES,
			"token %zu, choice %d: expert %d is not from 0 to %d", fault->token,
			fault->choice, fault->expert, call->layout->shape.nexperts - 1);
		break;
	case LINA_LAYOUT_SIZE:
		(void)snprintf(why, LINA_WHY_BYTES,
			"%zu tokens with %d choices: not from 0 to %zu with 1 to %d",
			call->tokens.n, call->tokens.nchoices, s->max_tokens, s->max_choices);
		break;
	case LINA_LAYOUT_BOUND:
		(void)snprintf(why, LINA_WHY_BYTES, "%u rows for rank %d: the bound is %u",
			fault->nrows, fault->device, s->bound);
		break;
	default:
		(void)snprintf(why, LINA_WHY_BYTES, "%s", strerror(-err));
	}
}

void lina_rows_why(const struct lina_call *call, int err, int rank, char *why)
{
	const struct lina_hello *hello = lina_hello_at(call->hello_in.at, call->a2a->nslots, rank);

	if (err == -ECANCELED)
		(void)snprintf(why, LINA_WHY_BYTES, "rank %d refused the call: %s", rank,
			strerror(-hello->err));
	else if (err == -ESTALE)
		(void)snprintf(why, LINA_WHY_BYTES, "rank %d follows another table", rank);
	else if (hello->layer != call->tokens.layer)
		(void)snprintf(why, LINA_WHY_BYTES, "rank %d came with layer %d and not %d", rank,
			hello->layer, call->tokens.layer);
	else
		(void)snprintf(why, LINA_WHY_BYTES, "rank %d said that %u rows for %u pairs come",
			rank, hello->nrows, hello->npairs);
}

struct lina_hello_shape lina_rows_hello_shape(const struct lina_a2a *a2a)
{
	const struct lina_a2a_settings *s = &a2a->settings;
	uint32_t choices = (uint32_t)s->max_choices;
	uint32_t all = (uint32_t)s->max_tokens * choices;

	return (struct lina_hello_shape){ a2a->nranks, a2a->rank, a2a->nslots,
		s->bound > 0 ? s->bound : all,
		s->bound > 0 && s->bound < all / choices ? s->bound * choices : all, s->bound > 0 };
}

/* ---- what is sent ---------------------------------------------------------------------------- */

/* -EINVAL and the like: why has LINA_WHY_BYTES. */
int lina_rows_layout(struct lina_call *call, const struct lina_route *route, char *why)
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

void lina_rows_hello(struct lina_call *call, int err)
{
	const struct lina_a2a *a2a = call->a2a;
	const struct lina_layout *layout = call->layout;
	size_t nslots = (size_t)a2a->nslots;

	for (int r = 0; r < a2a->nranks; r++) {
		struct lina_hello *hello = lina_hello_at(call->hello_out.at, a2a->nslots, r);
		lina_hello_at(call->hello_in.at, a2a->nslots, r)->magic = 0;
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

void lina_rows_count(struct lina_call *call)
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
void lina_rows_pack(void *arg)
{
	struct lina_call *call = arg;
	const struct lina_a2a *a2a = call->a2a;
	const struct lina_layout *layout = call->layout;

	lina_stage_begin(call, LINA_STAGE_SEND);
	for (int r = 0; r < a2a->nranks; r++) {
		if (r == a2a->rank)
			continue;
		lina_stage_gather(call, LINA_STAGE_SEND, call->near.at, call->home[r],
			call->tokens.rows, &layout->row_token[layout->row_begin[r]],
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
int lina_rows_read_hellos(struct lina_call *call)
{
	const struct lina_a2a *a2a = call->a2a;
	const struct lina_hello_shape shape = lina_rows_hello_shape(a2a);
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

void lina_rows_begin(struct lina_call *call)
{
	lina_stage_begin(call, LINA_STAGE_KEEP);
	lina_stage_begin(call, LINA_STAGE_ARRIVE);
}

/* Rows that stay here go straight to where the others come in. */
void lina_rows_unpack(void *arg)
{
	struct lina_call *call = arg;
	struct lina_a2a *a2a = call->a2a;
	const struct lina_layout *layout = call->layout;
	int source, err = lina_arrival_build(call->arrival, call->parcel, &source);

	lina_rows_begin(call);
	if (err) {
		call->err = err;
		lina_a2a_stream_fail(a2a, err, "what rank %d sent does not fit together", source);
		return;
	}
	lina_stage_gather(call, LINA_STAGE_KEEP, call->far.at, call->away[a2a->rank],
		call->tokens.rows, &layout->row_token[layout->row_begin[a2a->rank]],
		lina_call_rows_to(call, a2a->rank));
	lina_stage_gather(call, LINA_STAGE_ARRIVE, call->rows.at, 0, call->far.at,
		call->arrival->pair_row, call->arrival->npairs);
}

/* What begins with this host function, which leads to `pack`. */
int lina_rows_launch_pack(struct lina_call *call, cudaHostFn_t fn, cudaStream_t stream)
{
	int err = lina_cuda(cudaLaunchHostFunc(stream, fn, call), "cudaLaunchHostFunc");

	return err ? err
		   : lina_stage_run(call, LINA_STAGE_SEND, call->near.at, call->tokens.rows, false,
			     stream);
}

/* And this to `unpack`. */
int lina_rows_launch_unpack(struct lina_call *call, cudaHostFn_t fn, cudaStream_t stream)
{
	int err = lina_cuda(cudaLaunchHostFunc(stream, fn, call), "cudaLaunchHostFunc");

	if (!err)
		err = lina_stage_run(
			call, LINA_STAGE_KEEP, call->far.at, call->tokens.rows, false, stream);
	return err ? err
		   : lina_stage_run(
			     call, LINA_STAGE_ARRIVE, call->rows.at, call->far.at, false, stream);
}

void lina_rows_next_ids(struct lina_call *call)
{
	struct lina_a2a *a2a = call->a2a;

	for (int r = 0; r < a2a->nranks; r++)
		a2a->next_ids[r] = lina_hello_at(call->hello_in.at, a2a->nslots, r)->next_table;
}
