#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collectives/a2a.h"
#include "collectives/error.h"
#include "collectives/wait.h"

/* ---- buffers --------------------------------------------------------------------------------- */

void lina_buffer_free(struct lina_a2a *a2a, struct lina_buffer *buffer)
{
	if (buffer->device)
		(void)cudaFree(buffer->at);
	else if (buffer->at != NULL)
		(void)cudaFreeHost(buffer->at);
	a2a->stats.memory_bytes -= buffer->bytes;
	buffer->at = NULL;
	buffer->bytes = 0;
}

/* A half more than is asked for where it has to grow, so that it does not grow in each call. */
int lina_buffer_reserve(struct lina_a2a *a2a, struct lina_buffer *buffer, size_t bytes)
{
	void *made;
	cudaError_t result;

	if (bytes <= buffer->bytes)
		return 0;
	if (buffer->bytes > 0) {
		bytes += bytes / 2;
		a2a->stats.grown++;
	}
	result = buffer->device ? cudaMalloc(&made, bytes)
				: cudaHostAlloc(&made, bytes, cudaHostAllocDefault);
	if (result != cudaSuccess)
		return lina_fail(-ENOMEM, "no memory for a buffer of %zu bytes", bytes);
	lina_buffer_free(a2a, buffer);
	a2a->stats.memory_bytes += bytes;
	buffer->at = made;
	buffer->bytes = bytes;
	return 0;
}

/* ---- open and close -------------------------------------------------------------------------- */

static int reserve_first(struct lina_a2a *a2a, struct lina_call *call)
{
	const struct lina_a2a_settings *s = &a2a->settings;
	size_t nranks = (size_t)a2a->nranks;
	size_t nrows = s->bound > 0 ? nranks * s->bound : s->max_tokens * (size_t)s->max_choices;
	size_t npairs = s->bound > 0 ? nrows * (size_t)s->max_choices : nrows;
	size_t hellos = nranks * lina_hello_bytes(a2a->nslots);
	/* Of a batch: what comes in where all get equally much; with a bound, what can come. */
	size_t batch = s->bound > 0 && s->dedup ? npairs : nrows;
	int err = lina_buffer_reserve(a2a, &call->hello_out, hellos);

	if (!err)
		err = lina_buffer_reserve(a2a, &call->hello_in, hellos);
	if (!err)
		err = lina_buffer_reserve(a2a, &call->near, nrows * a2a->row_bytes);
	if (!err)
		err = lina_buffer_reserve(a2a, &call->far, nrows * a2a->row_bytes);
	if (!err)
		err = lina_buffer_reserve(a2a, &call->rows, batch * a2a->row_bytes);
	if (!err && s->dedup)
		err = lina_buffer_reserve(a2a, &call->pairs_out, npairs * sizeof(struct lina_pair));
	if (!err && s->dedup)
		err = lina_buffer_reserve(a2a, &call->pairs_in, npairs * sizeof(struct lina_pair));
	if (!err)
		err = lina_arrival_reserve(call->arrival, npairs, nrows);
	return err;
}

/* What kernels want beside: as much as this rank can send; the rest grows with what comes. */
static int reserve_cuda(struct lina_a2a *a2a, struct lina_call *call)
{
	const struct lina_a2a_settings *s = &a2a->settings;
	size_t npairs = s->max_tokens * (size_t)s->max_choices, comes = npairs;
	int err = 0;

	if (a2a->cuda == NULL)
		return 0;
	if (s->bound > 0)
		comes = (size_t)a2a->nranks * s->bound * (size_t)s->max_choices;
	for (int i = 0; i < LINA_NSTAGES && !err; i++)
		err = lina_index_reserve(a2a, &call->index[i], npairs > comes ? npairs : comes);
	return err ? err
		   : lina_buffer_reserve(
			     a2a, &call->choices, npairs * (sizeof(int32_t) + sizeof(float)));
}

static int open_events(struct lina_call *call)
{
	int err = lina_cuda(cudaEventCreateWithFlags(&call->done, cudaEventDisableTiming),
		"cudaEventCreateWithFlags");

	if (!err)
		err = lina_cuda(cudaEventCreateWithFlags(&call->met, cudaEventDisableTiming),
			"cudaEventCreateWithFlags");
	return err;
}

static int open_arrays(struct lina_a2a *a2a, struct lina_call *call)
{
	const struct lina_plan_shape *shape = &a2a->tables.current->shape;
	struct lina_layout_shape layout = { a2a->settings.max_tokens, a2a->settings.max_choices,
		shape->nexperts, a2a->nranks, a2a->nslots };
	size_t nranks = (size_t)a2a->nranks;

	call->parcel = calloc(nranks, sizeof(*call->parcel));
	call->slot_begin = calloc((size_t)a2a->nslots + 1, sizeof(*call->slot_begin));
	call->home = calloc(nranks, sizeof(*call->home));
	call->away = calloc(nranks, sizeof(*call->away));
	call->leg = calloc(nranks, sizeof(*call->leg));
	call->pair_leg = calloc(nranks, sizeof(*call->pair_leg));
	if (!call->parcel || !call->slot_begin || !call->home || !call->away || !call->leg ||
		!call->pair_leg)
		return lina_fail(-ENOMEM, "no memory for a call");
	int err = lina_layout_create(&layout, &call->layout);
	if (!err)
		err = lina_arrival_create(a2a->nranks, a2a->nslots, &call->arrival);
	return err ? lina_fail(err, "no memory for a call of %zu tokens", layout.max_tokens) : 0;
}

int lina_call_open(struct lina_a2a *a2a, struct lina_call *call)
{
	call->a2a = a2a;
	call->near.device = call->far.device = call->rows.device = a2a->cuda != NULL;
	int err = open_events(call);
	if (!err)
		err = open_arrays(a2a, call);
	if (!err)
		err = reserve_first(a2a, call);
	if (!err)
		err = reserve_cuda(a2a, call);
	return err;
}

void lina_call_close(struct lina_call *call)
{
	if (call->a2a == NULL)
		return; /* was never opened */
	for (int i = 0; i < LINA_NSTAGES; i++)
		lina_index_free(call->a2a, &call->index[i]);
	lina_buffer_free(call->a2a, &call->choices);
	lina_buffer_free(call->a2a, &call->rows);
	lina_buffer_free(call->a2a, &call->far);
	lina_buffer_free(call->a2a, &call->near);
	lina_buffer_free(call->a2a, &call->pairs_in);
	lina_buffer_free(call->a2a, &call->pairs_out);
	lina_buffer_free(call->a2a, &call->hello_in);
	lina_buffer_free(call->a2a, &call->hello_out);
	lina_arrival_destroy(call->arrival);
	lina_layout_destroy(call->layout);
	free(call->pair_leg);
	free(call->leg);
	free(call->away);
	free(call->home);
	free(call->slot_begin);
	free(call->parcel);
	if (call->met != NULL)
		(void)cudaEventDestroy(call->met);
	if (call->done != NULL)
		(void)cudaEventDestroy(call->done);
}

/* ---- waiting --------------------------------------------------------------------------------- */

int lina_a2a_wait(struct lina_a2a *a2a, cudaEvent_t event)
{
	int err = lina_wait_event(a2a->comm, event);

	if (err)
		a2a->failed = err;
	return err;
}

int lina_call_wait(struct lina_call *call, cudaEvent_t event)
{
	struct lina_a2a *a2a = call->a2a;
	int err = lina_a2a_wait(a2a, event);

	if (err == -ETIMEDOUT)
		lina_name_absent(call->hello_in.at, lina_hello_bytes(a2a->nslots), a2a->nranks);
	return err;
}

/* ---- routes ---------------------------------------------------------------------------------- */

int lina_a2a_route(struct lina_a2a *a2a, int layer, const struct lina_route **route_p)
{
	const struct lina_plan *plan = a2a->tables.current;
	int err = 0;

	if (layer < 0 || layer >= plan->shape.nlayers)
		return lina_fail(
			-EINVAL, "layer %d is not from 0 to %d", layer, plan->shape.nlayers - 1);
	if (a2a->route[layer] == NULL)
		err = lina_route_create(plan, layer, a2a->rank, &a2a->route[layer]);
	if (err)
		return lina_fail(err, "no route for layer %d", layer);
	*route_p = a2a->route[layer];
	return 0;
}

void lina_a2a_routes_forget(struct lina_a2a *a2a, int nlayers)
{
	for (int l = 0; l < nlayers; l++) {
		lina_route_destroy(a2a->route[l]);
		a2a->route[l] = NULL;
	}
}

void lina_a2a_stream_fail(struct lina_a2a *a2a, int err, const char *format, ...)
{
	va_list args;

	if (__atomic_exchange_n(&a2a->stream_claimed, true, __ATOMIC_ACQ_REL))
		return;
	va_start(args, format);
	(void)vsnprintf(a2a->stream_error, sizeof(a2a->stream_error), format, args);
	va_end(args);
	__atomic_store_n(&a2a->stream_err, err, __ATOMIC_RELEASE);
}
