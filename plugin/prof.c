#include "plugin/prof.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "plugin/log.h"
#include "plugin/origin.h"
#include "plugin/placement.h"
#include "priority/class.h"

/* Longer names are cut; NCCL states no limit. */
enum { NAME_BYTES = 128 };

/* Who we are in an event of the network, beside NCCL's own IB (1) and sockets (2), each shifted by
 * the bits of a version. */
#define PROF_NET_ID ((INT64_C(0x6c6e) << 16) | 1)

struct lina_prof {
	_Atomic(const char *) name; /* NULL, or text */
	char text[NAME_BYTES];      /* written before name is set, and never again */
	uint64_t comm_id;
	int rank, nranks; /* as of struct lina_prof_comm */
};

/* Handles of events. They are never NULL, since NCCL 2.26 and 2.27 start no child of an event
 * whose handle is, and then have nothing to answer from. */
enum { HANDLE_UNNAMED = LINA_NOPS + 1, HANDLE_FOREIGN = LINA_NOPS + 2 };

/* Communicators that are open. Where there is none, the profiler is another library or none. */
static atomic_int nopen;

static _Thread_local struct lina_prof_answer answer;

static void name_set(struct lina_prof *prof, const char *name)
{
	if (name == NULL || atomic_load_explicit(&prof->name, memory_order_relaxed) != NULL)
		return;
	memcpy(prof->text, name, strnlen(name, NAME_BYTES - 1));
	atomic_store_explicit(&prof->name, prof->text, memory_order_release);
}

int lina_prof_open(const struct lina_prof_comm *comm, struct lina_prof **prof_p, bool *wants_net_p)
{
	struct lina_prof *prof = calloc(1, sizeof(*prof));

	if (prof == NULL) {
		lina_warn("no memory for the profile of a communicator");
		return -ENOMEM;
	}
	name_set(prof, comm->name);
	prof->comm_id = comm->id;
	prof->rank = comm->rank;
	prof->nranks = comm->nranks;
	if (comm->nranks)
		lina_placement_rank_add(comm->id, comm->rank, comm->nranks);
	atomic_fetch_add(&nopen, 1);
	*wants_net_p = lina_origin_asks_profiler();
	*prof_p = prof;
	return 0;
}

void lina_prof_close(struct lina_prof *prof)
{
	if (prof == NULL)
		return;
	atomic_fetch_sub(&nopen, 1);
	if (prof->nranks)
		lina_placement_rank_remove(prof->comm_id, prof->rank);
	free(prof);
}

static uintptr_t handle_of_func(const char *func)
{
	int op = func != NULL ? lina_op_named(func) : -ENOENT;

	return op >= 0 ? (uintptr_t)op + 1 : HANDLE_UNNAMED;
}

static void answer_with(struct lina_prof *prof, uintptr_t parent)
{
	if (parent == 0 || parent == HANDLE_FOREIGN)
		return;
	answer.op = parent <= LINA_NOPS ? (int)parent - 1 : -ENOENT;
	answer.comm_name = atomic_load_explicit(&prof->name, memory_order_acquire);
}

void *lina_prof_start(struct lina_prof *prof, const struct lina_prof_event *event)
{
	uintptr_t handle = (uintptr_t)event->parent;

	switch (event->kind) {
	case LINA_PROF_CALL:
		name_set(prof, event->comm_name);
		handle = handle_of_func(event->func);
		break;
	case LINA_PROF_PROXY_OP:
		/* A proxy may work for a rank in another process of this host. */
		if (event->pid != getpid())
			handle = HANDLE_FOREIGN;
		else if (handle == 0)
			handle = HANDLE_UNNAMED;
		break;
	case LINA_PROF_NET:
		if (event->id == PROF_NET_ID)
			answer_with(prof, handle);
		break;
	case LINA_PROF_PROXY_STEP:
		break;
	case LINA_PROF_OTHER:
		handle = 0;
		break;
	}
	return (void *)handle; /* NOLINT(performance-no-int-to-ptr): a number in NCCL's keeping */
}

struct lina_prof_answer lina_prof_ask(lina_prof_fn *profiler, void *handle)
{
	void *event = NULL;

	answer = (struct lina_prof_answer){ .op = -ENOENT };
	if (profiler != NULL && handle != NULL && atomic_load(&nopen) > 0)
		(void)profiler(&event, LINA_PROF_NET_START, handle, PROF_NET_ID, NULL);
	return answer;
}
