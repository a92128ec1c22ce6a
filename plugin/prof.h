/*
 * What NCCL's profiler knows of the transfers that the network carries: the operation, and the
 * communicator with its name. Before net v11 there is no other way to learn the operation, and a
 * communicator's name is said nowhere else.
 *
 * A transfer comes with a handle for the network's own profiler events. To emit such an event makes
 * NCCL call the profiler's startEvent before it returns, on the same thread, with the event's
 * parent; and where the profiler is this library too, that is an answer. Events need no memory: the
 * handle that startEvent returns is the number of the operation, which children pass on.
 *
 * prof_abi.c maps every exported ncclProfiler_vN_t onto these functions.
 */
#ifndef LINA_PLUGIN_PROF_H
#define LINA_PLUGIN_PROF_H

#include <stdbool.h>
#include <stdint.h>

#include "plugin/net.h"

struct lina_prof; /* a communicator, as the profiler knows it */

/* What NCCL says of a communicator. */
struct lina_prof_comm {
	const char *name; /* NULL: not known */
	uint64_t id;      /* what the network knows it by */
	int rank, nranks; /* nranks 0: not known, nor is the id */
};

/* Opens one; what comm has is copied. *wants_net_p: whether NCCL is to
 * deliver events of the network, with their ancestors; nothing else is ever wanted. -ENOMEM. */
int lina_prof_open(const struct lina_prof_comm *comm, struct lina_prof **prof_p, bool *wants_net_p);

/* When NCCL has no more events of the communicator. NULL is allowed. */
void lina_prof_close(struct lina_prof *prof);

enum lina_prof_kind {
	LINA_PROF_OTHER,
	LINA_PROF_CALL, /* what the program called, and what NCCL made of it: they name a function
			 */
	LINA_PROF_PROXY_OP,
	LINA_PROF_PROXY_STEP,
	LINA_PROF_NET
};

struct lina_prof_event {
	enum lina_prof_kind kind;
	void *parent;          /* what lina_prof_start returned for it; NULL: none, or no matter */
	const char *func;      /* LINA_PROF_CALL: "AllReduce", ... */
	const char *comm_name; /* LINA_PROF_CALL with profiler v3, else NULL */
	int pid;               /* LINA_PROF_PROXY_OP: of the process whose call it is */
	int64_t id;            /* LINA_PROF_NET: who emits it */
};

/* Returns the event's handle. Threads: any. prof is not looked at in events of other processes, to
 * which it belongs. */
void *lina_prof_start(struct lina_prof *prof, const struct lina_prof_event *event);

struct lina_prof_answer {
	int op;                /* lina_op; -ENOENT: not known */
	const char *comm_name; /* NULL: not known; lives as long as its communicator */
};

/* ncclProfilerNetEventStart: the type of event that the callback is called with. */
enum { LINA_PROF_NET_START = 0 };

/* Asks NCCL whose transfer this is. profiler, handle: what NCCL gave for it, may be NULL. */
struct lina_prof_answer lina_prof_ask(lina_prof_fn *profiler, void *handle);

#endif
