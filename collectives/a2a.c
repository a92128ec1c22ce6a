#include "collectives/a2a.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "collectives/element.h"
#include "collectives/error.h"
#include "collectives/wait.h"

void lina_a2a_settings_default(struct lina_a2a_settings *settings_p)
{
	*settings_p = (struct lina_a2a_settings){ .type = ncclFloat32, .depth = 2 };
}

/* ---- settings -------------------------------------------------------------------------------- */

#define ROW_BYTES_MAX ((size_t)1 << 32)

static int settings_check(const struct lina_a2a_settings *s)
{
	enum lina_element element;
	size_t each = lina_type_bytes(s->type, &element);

	if (s->hidden < 1 || each == 0 || s->hidden >= ROW_BYTES_MAX / each)
		return lina_fail(-EINVAL,
			"%zu elements of NCCL's type %d make no token of less than 4 GiB",
			s->hidden, (int)s->type);
	if (s->max_tokens < 1 || s->max_choices < 1 ||
		s->max_tokens >= UINT32_MAX / (size_t)s->max_choices)
		return lina_fail(-EINVAL,
			"max_tokens %zu and max_choices %d: not from 1, with a product below 2^32",
			s->max_tokens, s->max_choices);
	if (s->depth < 1 || s->depth > LINA_DEPTH_MAX)
		return lina_fail(-EINVAL, "depth %d is not from 1 to %d", s->depth, LINA_DEPTH_MAX);
	if (s->packing != LINA_PACKING_HOST && s->packing != LINA_PACKING_CUDA)
		return lina_fail(-EINVAL, "there is no packing %d", (int)s->packing);
	return 0;
}

/* Rows are counted in 32 bits, all that may come as well. */
static int bound_check(const struct lina_a2a *a2a)
{
	const struct lina_a2a_settings *s = &a2a->settings;
	size_t nrows = (size_t)a2a->nranks * s->bound, npairs = nrows * (size_t)s->max_choices;
	size_t pair = sizeof(struct lina_pair),
	       most = a2a->row_bytes > pair ? a2a->row_bytes : pair;

	if (nrows > UINT32_MAX)
		return lina_fail(-EINVAL,
			"a bound of %" PRIu32 " rows from each of %d ranks: not below 2^32 in all",
			s->bound, a2a->nranks);
	if (npairs > SIZE_MAX / most)
		return lina_fail(-EINVAL,
			"a bound of %" PRIu32
			" rows and max_choices %d: no memory has room for all that may come",
			s->bound, s->max_choices);
	return 0;
}

/* ---- open and close -------------------------------------------------------------------------- */

static int open_comm(struct lina_a2a *a2a)
{
	int err = lina_nccl(ncclCommCount(a2a->comm, &a2a->nranks), "ncclCommCount");

	if (!err)
		err = lina_nccl(ncclCommUserRank(a2a->comm, &a2a->rank), "ncclCommUserRank");
	if (err)
		return err;
	a2a->order = lina_exchange_scratch(a2a->nranks);
	return a2a->order != NULL ? 0 : lina_fail(-ENOMEM, "no memory for %d ranks", a2a->nranks);
}

static int open_tables(struct lina_a2a *a2a, const struct lina_a2a_settings *s)
{
	int err = lina_tables_open(&a2a->tables, s->table_path, s->plan);

	if (err)
		return lina_fail(err == -ENOMEM ? err : -EINVAL, "%s", a2a->tables.error);
	const struct lina_plan_shape *shape = &a2a->tables.current->shape;
	if (shape->ndevices != a2a->nranks)
		return lina_fail(-EINVAL,
			"the placement is for %d devices, the communicator has %d "
			"ranks",
			shape->ndevices, a2a->nranks);
	a2a->nslots = shape->slots_per_device;
	return 0;
}

static int open_arrays(struct lina_a2a *a2a)
{
	size_t nranks = (size_t)a2a->nranks, hello = lina_hello_bytes(a2a->nslots);

	a2a->route =
		calloc((size_t)a2a->tables.current->shape.nlayers, sizeof(struct lina_route *));
	a2a->call = calloc((size_t)a2a->settings.depth, sizeof(*a2a->call));
	a2a->next_ids = calloc(nranks, sizeof(*a2a->next_ids));
	a2a->hello_leg = calloc(nranks, sizeof(*a2a->hello_leg));
	a2a->empty = calloc((size_t)a2a->nslots, sizeof(*a2a->empty));
	if (!a2a->route || !a2a->call || !a2a->next_ids || !a2a->hello_leg || !a2a->empty)
		return lina_fail(-ENOMEM, "no memory for %d ranks", a2a->nranks);
	for (int s = 0; s < a2a->nslots; s++)
		a2a->empty[s] = LINA_SLOT_EMPTY;
	for (size_t r = 0; r < nranks; r++)
		a2a->hello_leg[r] = (struct lina_leg){ r * hello, hello, r * hello, hello };
	for (int i = 0; i < a2a->settings.depth; i++) {
		int err = lina_call_open(a2a, &a2a->call[i]);
		if (err)
			return err;
	}
	return 0;
}

int lina_a2a_create(
	ncclComm_t comm, const struct lina_a2a_settings *settings, struct lina_a2a **a2a_p)
{
	struct lina_a2a *a2a = calloc(1, sizeof(*a2a));

	if (a2a == NULL)
		return lina_fail(-ENOMEM, "no memory");
	a2a->comm = comm;
	a2a->settings = *settings;
	int err = open_comm(a2a);
	if (err)
		goto destroy;
	err = settings_check(settings);
	if (!err && settings->packing == LINA_PACKING_CUDA)
		err = lina_cuda_packing_get(&a2a->cuda);
	if (!err) {
		a2a->row_bytes = settings->hidden * lina_type_bytes(settings->type, &a2a->element);
		err = bound_check(a2a);
	}
	if (!err)
		err = open_tables(a2a, settings);
	if (!err)
		err = open_arrays(a2a);
	err = lina_a2a_agree(a2a, err);
	if (err && !a2a->failed)
		goto destroy;
	*a2a_p = a2a;
	return err;
destroy:
	lina_a2a_destroy(a2a);
	return err;
}

static int wait_for_calls(struct lina_a2a *a2a)
{
	int err = 0;

	for (int i = 0; a2a->call != NULL && i < a2a->settings.depth && !err && !a2a->failed; i++)
		if (a2a->call[i].used)
			err = lina_call_wait(&a2a->call[i], a2a->call[i].done);
	return err;
}

void lina_a2a_destroy(struct lina_a2a *a2a)
{
	if (a2a == NULL)
		return;
	/* What has not ended may still look at any of this. */
	if (wait_for_calls(a2a) != 0 || lina_a2a_agree_end(a2a) != 0)
		return;
	for (int i = 0; a2a->call != NULL && i < a2a->settings.depth; i++)
		lina_call_close(&a2a->call[i]);
	if (a2a->route != NULL)
		lina_a2a_routes_forget(a2a, a2a->tables.current->shape.nlayers);
	free(a2a->empty);
	free(a2a->order);
	free(a2a->hello_leg);
	free(a2a->next_ids);
	free(a2a->call);
	free(a2a->route);
	lina_tables_close(&a2a->tables);
	assert(a2a->stats.memory_bytes == 0);
	free(a2a);
}

/* ---- what can be asked ----------------------------------------------------------------------- */

int lina_a2a_status(struct lina_a2a *a2a)
{
	int err = __atomic_load_n(&a2a->stream_err, __ATOMIC_ACQUIRE);

	if (err == 0)
		return 0;
	(void)lina_fail(err, "%s", a2a->stream_error);
	__atomic_store_n(&a2a->stream_err, 0, __ATOMIC_RELEASE);
	__atomic_store_n(&a2a->stream_claimed, false, __ATOMIC_RELEASE);
	return err;
}

void lina_a2a_stats(const struct lina_a2a *a2a, struct lina_a2a_stats *stats_p)
{
	*stats_p = a2a->stats;
	stats_p->tables_read = a2a->tables.nread;
	stats_p->tables_refused = a2a->tables.nrefused;
	stats_p->tables_switched = a2a->tables.nswitched;
}

/* ---- tables ---------------------------------------------------------------------------------- */

const struct lina_plan *lina_a2a_table(const struct lina_a2a *a2a)
{
	return a2a->tables.current;
}

const struct lina_plan *lina_a2a_table_next(struct lina_a2a *a2a)
{
	/* With a bound the hellos of the latest call are read on the stream; the file is not, until
	 * all know what was said of it. */
	if (a2a->settings.bound > 0) {
		if (a2a->latest != NULL && lina_call_wait(a2a->latest, a2a->latest->met) != 0)
			return NULL;
		lina_tables_agree(&a2a->tables, a2a->next_ids, a2a->nranks);
		lina_tables_poll(&a2a->tables);
	}
	return a2a->tables.agreed ? a2a->tables.next : NULL;
}

const char *lina_a2a_table_error(const struct lina_a2a *a2a)
{
	return a2a->tables.error;
}

/* Host functions of a call that is over may still want its route. */
static int settle_calls(struct lina_a2a *a2a)
{
	for (int i = 0; i < a2a->settings.depth; i++)
		if (a2a->call[i].open)
			return lina_fail(-EBUSY, "a batch is in use");
	(void)wait_for_calls(a2a);
	return a2a->failed ? lina_fail(a2a->failed, "the communicator has failed before") : 0;
}

int lina_a2a_table_switch(struct lina_a2a *a2a)
{
	int err = settle_calls(a2a);

	if (err)
		return err;
	if (lina_a2a_table_next(a2a) == NULL)
		return lina_fail(-EAGAIN, "there is no table that all ranks have");
	lina_a2a_routes_forget(a2a, a2a->tables.current->shape.nlayers);
	return lina_tables_switch(&a2a->tables);
}

int lina_a2a_table_set(struct lina_a2a *a2a, const struct lina_plan *plan)
{
	int err = settle_calls(a2a);

	if (err)
		return err;
	err = lina_tables_set(&a2a->tables, plan);
	if (err)
		return lina_fail(err, "%s", a2a->tables.error);
	lina_a2a_routes_forget(a2a, a2a->tables.current->shape.nlayers);
	return 0;
}
