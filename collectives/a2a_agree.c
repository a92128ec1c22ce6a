/* What all ranks must have alike, before anything is sent: their settings. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "collectives/a2a.h"
#include "collectives/error.h"
#include "collectives/wait.h"

/* All of it goes to every rank. */
struct agreement {
	uint64_t magic; /* LINA_HELLO_MAGIC; 0: has not come */
	uint64_t table, hidden, max_tokens;
	int32_t err, type, max_choices, depth;
	uint32_t dedup, capacity, bound, nslots;
};

static struct agreement agreement_of(const struct lina_a2a *a2a, int err)
{
	const struct lina_a2a_settings *s = &a2a->settings;

	return (struct agreement){ LINA_HELLO_MAGIC, a2a->tables.current_id, s->hidden,
		s->max_tokens, err, (int32_t)s->type, s->max_choices, s->depth, s->dedup,
		s->capacity, s->bound, (uint32_t)a2a->nslots };
}

static int compare(const struct agreement *all, int rank, int nranks)
{
	const struct agreement *own = &all[rank];

	for (int r = 0; r < nranks; r++) {
		if (all[r].magic != own->magic)
			return lina_fail(-EINVAL, "rank %d runs another liblina", r);
		if (all[r].err != 0)
			return lina_fail(-ECANCELED, "rank %d cannot take part: %s", r,
				strerror(-all[r].err));
		if (all[r].table != own->table)
			return lina_fail(-EINVAL, "rank %d has another placement", r);
		if (memcmp(&all[r], own, sizeof(*own)) != 0)
			return lina_fail(-EINVAL, "rank %d has other settings", r);
	}
	return 0;
}

static int open_call(struct lina_a2a *a2a, int err)
{
	struct lina_agreement_call *call = &a2a->agreement;
	const struct agreement own = agreement_of(a2a, err);
	size_t n = (size_t)a2a->nranks;
	int failed = lina_buffer_reserve(a2a, &call->said, (n + 1) * sizeof(own));

	if (failed)
		return failed;
	call->leg = calloc(n, sizeof(*call->leg));
	if (call->leg == NULL)
		return lina_fail(-ENOMEM, "no memory for %d ranks", a2a->nranks);
	memset(call->said.at, 0, n * sizeof(own));
	memcpy(call->said.at + (size_t)a2a->rank * sizeof(own), &own, sizeof(own));
	memcpy(call->said.at + n * sizeof(own), &own, sizeof(own));
	for (size_t r = 0; r < n; r++)
		call->leg[r] = (struct lina_leg){ n * sizeof(own), sizeof(own), r * sizeof(own),
			sizeof(own) };
	failed = lina_cuda(cudaStreamCreateWithFlags(&call->stream, cudaStreamNonBlocking),
		"cudaStreamCreateWithFlags");
	return failed ? failed
		      : lina_cuda(cudaEventCreateWithFlags(&call->event, cudaEventDisableTiming),
				"cudaEventCreateWithFlags");
}

static int run_call(struct lina_a2a *a2a)
{
	struct lina_agreement_call *call = &a2a->agreement;
	struct lina_exchange part = { call->said.at, call->said.at, call->leg };
	int err = lina_exchange(a2a, &part, 1, call->stream);
	/* Recorded in any case: what was put there may be at work. */
	int recorded = lina_cuda(cudaEventRecord(call->event, call->stream), "cudaEventRecord");

	call->launched = true;
	if (!err)
		err = recorded ? recorded : lina_wait_event(a2a->comm, call->event);
	if (err == -ETIMEDOUT)
		lina_name_absent(call->said.at, sizeof(struct agreement), a2a->nranks);
	a2a->failed = err;
	return err;
}

int lina_a2a_agree(struct lina_a2a *a2a, int err)
{
	int failed = open_call(a2a, err);

	if (!failed)
		failed = run_call(a2a);
	if (a2a->failed)
		return failed;
	if (!failed && !err)
		failed = compare((const struct agreement *)(void *)a2a->agreement.said.at,
			a2a->rank, a2a->nranks);
	(void)lina_a2a_agree_end(a2a);
	return failed ? failed : err;
}

int lina_a2a_agree_end(struct lina_a2a *a2a)
{
	struct lina_agreement_call *call = &a2a->agreement;
	int err = call->launched ? lina_wait_event(NULL, call->event) : 0;

	if (err)
		return err;
	if (call->event != NULL)
		(void)cudaEventDestroy(call->event);
	if (call->stream != NULL)
		(void)cudaStreamDestroy(call->stream);
	lina_buffer_free(a2a, &call->said);
	free(call->leg);
	*call = (struct lina_agreement_call){ 0 };
	return 0;
}
