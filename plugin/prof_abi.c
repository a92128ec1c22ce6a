/*
 * Maps every exported ncclProfiler_vN_t onto plugin/prof.h. No logic lives here: a descriptor is
 * decoded into one event that is the same for all versions.
 */
#include "plugin/nccl_abi/profiler.h"
#include "plugin/nccl_abi/result.h"
#include "plugin/prof.h"

#define LINA_EXPORT __attribute__((visibility("default")))

_Static_assert((int)LINA_PROF_NET_START == (int)ncclProfilerNetEventStart, "start of an event");

static ncclResult_t open_prof(const struct lina_prof_comm *comm, void **context, int *mask)
{
	struct lina_prof *prof = NULL;
	bool wants_net = false;
	int err = lina_prof_open(comm, &prof, &wants_net);

	*context = prof;
	*mask = wants_net ? ncclProfileNetPlugin : 0;
	return lina_nccl_result(err);
}

static ncclResult_t init_v3(void **context, int *mask)
{
	return open_prof(&(struct lina_prof_comm){ .name = NULL }, context, mask);
}

static ncclResult_t init_v4(void **context, int *mask, const char *comm_name, uint64_t comm_hash,
	int nnodes, int nranks, int rank, ncclDebugLogger_t log)
{
	const struct lina_prof_comm comm = { comm_name, comm_hash, rank, nranks };

	(void)nnodes, (void)log;
	return open_prof(&comm, context, mask);
}

static ncclResult_t init_v5(void **context, uint64_t comm_id, int *mask, const char *comm_name,
	int nnodes, int nranks, int rank, ncclDebugLogger_t log)
{
	const struct lina_prof_comm comm = { comm_name, comm_id, rank, nranks };

	(void)nnodes, (void)log;
	return open_prof(&comm, context, mask);
}

/* --- descriptors: they differ in type but share field names --- */

#define EVENT_OTHER ((struct lina_prof_event){ .kind = LINA_PROF_OTHER })
#define EVENT_PROXY_OP(descr)                                  \
	((struct lina_prof_event){ .kind = LINA_PROF_PROXY_OP, \
		.parent = (descr)->parentObj,                  \
		.pid = (int)(descr)->proxyOp.pid })
#define EVENT_PROXY_STEP(descr) \
	((struct lina_prof_event){ .kind = LINA_PROF_PROXY_STEP, .parent = (descr)->parentObj })
#define EVENT_NET(descr)                                  \
	((struct lina_prof_event){ .kind = LINA_PROF_NET, \
		.parent = (descr)->parentObj,             \
		.id = (descr)->netPlugin.id })
#define EVENT_CALL(function, name) \
	((struct lina_prof_event){ \
		.kind = LINA_PROF_CALL, .func = (function), .comm_name = (name) })

#define CASES_SINCE_V3(descr)                   \
	case ncclProfileProxyOp:                \
		return EVENT_PROXY_OP(descr);   \
	case ncclProfileProxyStep:              \
		return EVENT_PROXY_STEP(descr); \
	case ncclProfileNetPlugin:              \
		return EVENT_NET(descr);        \
	default:                                \
		return EVENT_OTHER

static struct lina_prof_event event_v3(const ncclProfilerEventDescr_v3_t *descr)
{
	switch (descr->type) {
	case ncclProfileColl:
		return EVENT_CALL(descr->coll.func, descr->coll.name);
	case ncclProfileP2p:
		return EVENT_CALL(descr->p2p.func, descr->p2p.name);
		CASES_SINCE_V3(descr);
	}
}

static struct lina_prof_event event_v4(const ncclProfilerEventDescr_v4_t *descr)
{
	switch (descr->type) {
	case ncclProfileColl:
		return EVENT_CALL(descr->coll.func, NULL);
	case ncclProfileP2p:
		return EVENT_CALL(descr->p2p.func, NULL);
		CASES_SINCE_V3(descr);
	}
}

#define DEFINE_EVENT_SINCE_V5(v)                                                             \
	static struct lina_prof_event event_##v(const ncclProfilerEventDescr_##v##_t *descr) \
	{                                                                                    \
		switch (descr->type) {                                                       \
		case ncclProfileColl:                                                        \
			return EVENT_CALL(descr->coll.func, NULL);                           \
		case ncclProfileP2p:                                                         \
			return EVENT_CALL(descr->p2p.func, NULL);                            \
			CASES_SINCE_V3(descr);                                               \
		}                                                                            \
	}
DEFINE_EVENT_SINCE_V5(v5)
DEFINE_EVENT_SINCE_V5(v6)

#define DEFINE_START(v)                                                              \
	static ncclResult_t start_##v(                                               \
		void *context, void **handle, ncclProfilerEventDescr_##v##_t *descr) \
	{                                                                            \
		const struct lina_prof_event event = event_##v(descr);               \
                                                                                     \
		*handle = lina_prof_start(context, &event);                          \
		return ncclSuccess;                                                  \
	}
DEFINE_START(v3)
DEFINE_START(v4)
DEFINE_START(v5)
DEFINE_START(v6)

/* --- an event is over, or has come further: that is nobody's concern here --- */

static ncclResult_t stop_v3(void *handle)
{
	(void)handle;
	return ncclSuccess;
}

static ncclResult_t record_v3(
	void *handle, ncclProfilerEventState_t state, ncclProfilerEventStateArgs_v3_t *args)
{
	(void)handle, (void)state, (void)args;
	return ncclSuccess;
}

static ncclResult_t record_v4(
	void *handle, ncclProfilerEventState_t state, ncclProfilerEventStateArgs_v4_t *args)
{
	(void)handle, (void)state, (void)args;
	return ncclSuccess;
}

static ncclResult_t record_v5(
	void *handle, ncclProfilerEventState_t state, ncclProfilerEventStateArgs_v5_t *args)
{
	(void)handle, (void)state, (void)args;
	return ncclSuccess;
}

static ncclResult_t finalize_v3(void *context)
{
	lina_prof_close(context);
	return ncclSuccess;
}

/* --- the exported tables --- */

#define SINCE_V3 .name = "lina", .stopEvent = stop_v3, .finalize = finalize_v3

LINA_EXPORT extern const ncclProfiler_v3_t ncclProfiler_v3;
LINA_EXPORT extern const ncclProfiler_v4_t ncclProfiler_v4;
LINA_EXPORT extern const ncclProfiler_v5_t ncclProfiler_v5;
LINA_EXPORT extern const ncclProfiler_v6_t ncclProfiler_v6;

const ncclProfiler_v3_t ncclProfiler_v3 = {
	SINCE_V3,
	.init = init_v3,
	.startEvent = start_v3,
	.recordEventState = record_v3,
};

const ncclProfiler_v4_t ncclProfiler_v4 = {
	SINCE_V3,
	.init = init_v4,
	.startEvent = start_v4,
	.recordEventState = record_v4,
};

const ncclProfiler_v5_t ncclProfiler_v5 = {
	SINCE_V3,
	.init = init_v5,
	.startEvent = start_v5,
	.recordEventState = record_v5,
};

const ncclProfiler_v6_t ncclProfiler_v6 = {
	SINCE_V3,
	.init = init_v5,
	.startEvent = start_v6,
	.recordEventState = record_v5,
};
