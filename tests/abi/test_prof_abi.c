/*
 * The plugin's profiler tables, loaded and called as NCCL does: events of each version, and the
 * network's question that they answer. The network is net v10, which knows operations from there
 * alone; what it took a transfer for is in its summary.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "abi/pair.h"
#include "plugin/nccl_abi/profiler.h"

enum { FIRST = 3, LAST = 6, LINE_BYTES = 512, SENT_BYTES = 1000 };

static int version; /* of the table under test */
static void *library;
static const void *table;
static void *context; /* of a communicator */
static int mask;
static struct end end;
static struct pair pair;
static char summary[LINE_BYTES];

/* --- a table of any version --- */

#define V3 ((const ncclProfiler_v3_t *)table)
#define V4 ((const ncclProfiler_v4_t *)table)
#define V5 ((const ncclProfiler_v5_t *)table)
#define V6 ((const ncclProfiler_v6_t *)table)

/* What the versions have in common of an event. */
struct event {
	int type;
	void *parent;
	const char *func;
	pid_t pid;
	int64_t id;
};

#define FILL(descr, event)                                   \
	do {                                                 \
		(descr)->parentObj = (event)->parent;        \
		if ((event)->type == ncclProfileColl)        \
			(descr)->coll.func = (event)->func;  \
		if ((event)->type == ncclProfileP2p)         \
			(descr)->p2p.func = (event)->func;   \
		if ((event)->type == ncclProfileProxyOp)     \
			(descr)->proxyOp.pid = (event)->pid; \
		if ((event)->type == ncclProfileNetPlugin)   \
			(descr)->netPlugin.id = (event)->id; \
	} while (0)

#define START(v, V, number)                                                                \
	static ncclResult_t start_##v(void *ctx, void **handle, const struct event *event) \
	{                                                                                  \
		ncclProfilerEventDescr_##v##_t descr = { .type = (number)event->type };    \
                                                                                           \
		FILL(&descr, event);                                                       \
		return (V)->startEvent(ctx, handle, &descr);                               \
	}
START(v3, V3, uint8_t)
START(v4, V4, uint8_t)
START(v5, V5, uint64_t)
START(v6, V6, uint64_t)

static void *start_in(void *ctx, struct event event)
{
	ncclResult_t (*const start[])(
		void *, void **, const struct event *) = { start_v3, start_v4, start_v5, start_v6 };
	void *handle = NULL;

	assert_int_equal(start[version - FIRST](ctx, &handle, &event), ncclSuccess);
	return handle;
}

static void *start(struct event event)
{
	return start_in(context, event);
}

/* stopEvent, recordEventState and finalize have the same place and shape in all versions. */
static void stop(void *handle)
{
	assert_int_equal(V3->stopEvent(handle), ncclSuccess);
}

static ncclResult_t init_prof(const char *name)
{
	switch (version) {
	case 3:
		return V3->init(&context, &mask);
	case 4:
		return V4->init(&context, &mask, name, 0x77, 2, 4, 1, NULL);
	case 5:
		return V5->init(&context, 0x77, &mask, name, 2, 4, 1, NULL);
	default:
		return V6->init(&context, 0x77, &mask, name, 2, 4, 1, NULL);
	}
}

/* --- NCCL's side --- */

/* What NCCL gives to isend as profiler handle. */
struct step {
	void *context; /* of the communicator whose transfer it is, even in another process */
	void *handle;
	int64_t other_id; /* of a network that is not ours; 0: as asked */
};

static int nasked;

static ncclResult_t callback(void **handle, int type, void *phandle, int64_t id, void *data)
{
	const struct step *step = phandle;

	(void)data;
	nasked++;
	assert_int_equal(type, ncclProfilerNetEventStart);
	*handle =
		start_in(step->context, (struct event){ .type = ncclProfileNetPlugin,
						.parent = step->handle,
						.id = step->other_id != 0 ? step->other_id : id });
	return ncclSuccess;
}

static void keep_summary(ncclDebugLogLevel level, unsigned long flags, const char *file, int line,
	const char *fmt, ...) __attribute__((format(printf, 5, 6)));

static void keep_summary(ncclDebugLogLevel level, unsigned long flags, const char *file, int line,
	const char *fmt, ...)
{
	char text[LINE_BYTES];
	const char *at;
	va_list args;

	(void)level, (void)flags, (void)file, (void)line;
	va_start(args, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	if (strstr(text, "communicator ") != NULL && (at = strstr(text, " sent ")) != NULL)
		(void)snprintf(summary, sizeof(summary), "%s", at + strlen(" sent "));
}

static void open_net(int net_version)
{
	int ndev = 0;

	end = (struct end){ 0 };
	assert_int_equal(drive_open(&end.drive, PLUGIN, net_version), 0);
	assert_int_equal(
		drive_init(&end.drive, &end.ctx, 77, NULL, keep_summary, callback), ncclSuccess);
	assert_int_equal(drive_devices(&end.drive, &ndev), ncclSuccess);
	assert_true(ndev > 0);
}

static void open_prof(const char *name)
{
	char symbol[32];

	(void)snprintf(symbol, sizeof(symbol), "ncclProfiler_v%d", version);
	library = dlopen(PLUGIN, RTLD_NOW | RTLD_LOCAL);
	assert_non_null(library);
	table = dlsym(library, symbol);
	assert_non_null(table);
	context = NULL;
	assert_int_equal(init_prof(name), ncclSuccess);
	/* Without it NCCL does not finalize. */
	assert_non_null(context);
}

static void close_prof(void)
{
	assert_int_equal(V3->finalize(context), ncclSuccess);
	assert_int_equal(dlclose(library), 0);
}

/* NCCL's order: the network first. */
static int open_all(void **state)
{
	(void)state;
	assert_int_equal(unsetenv("LINA_CLASSES"), 0);
	open_net(10);
	open_prof("ep_0");
	pair_open(&pair, &end, &end);
	nasked = 0;
	return 0;
}

static int close_all(void **state)
{
	(void)state;
	close_prof();
	end_close(&end);
	return 0;
}

/* The chain of one transfer of func, as NCCL starts it. */
static struct step step_of(int type, const char *func, pid_t pid)
{
	void *call = start((struct event){ .type = type, .func = func });
	void *op = start((struct event){ .type = ncclProfileProxyOp, .parent = call, .pid = pid });
	void *step = start((struct event){ .type = ncclProfileProxyStep, .parent = op });

	/* NCCL 2.26 and 2.27 start no child of an event without a handle, and then fall over the
	 * question. */
	assert_non_null(op);
	assert_non_null(step);
	return (struct step){ .context = context, .handle = step };
}

static void send_as(struct step *step)
{
	char from[SENT_BYTES] = { 0 }, to[SENT_BYTES];
	size_t bytes = sizeof(to);
	void *data = to, *mr = NULL, *profile = step, *send = NULL, *recv = NULL;
	int tag = 5;

	pair_clock(true);
	while (recv == NULL) {
		assert_int_equal(drive_recv(&end.drive, pair.recv_conn, 1, &data, &bytes, &tag, &mr,
					 &profile, &recv),
			ncclSuccess);
		pair_clock(false);
	}
	while (send == NULL) {
		assert_int_equal(drive_send(&end.drive, pair.send_conn, from, sizeof(from), tag,
					 NULL, step, &send),
			ncclSuccess);
		pair_clock(false);
	}
	pair_finish(&pair, send, recv, NULL, NULL);
}

/* The summary comes with the end of the last connection. */
static void assert_summary(const char *expected)
{
	summary[0] = '\0';
	pair_close(&pair);
	assert_string_equal(summary, expected);
}

/* --- the tests --- */

static void nothing_but_the_networks_events_is_asked_for(void **state)
{
	(void)state;
	assert_int_equal(mask, ncclProfileNetPlugin);
	pair_close(&pair);
}

static void function_names_the_transfer(void **state)
{
	struct step coll = step_of(ncclProfileColl, "AllReduce", getpid());
	struct step p2p = step_of(ncclProfileP2p, "Send", getpid());

	(void)state;
	send_as(&coll);
	send_as(&p2p);
	send_as(&coll);
	assert_int_equal(nasked, 6); /* both ends of each */
	stop(coll.handle);
	stop(p2p.handle);
	assert_summary("allreduce 2 messages 2000 bytes (bulk), send 1 messages 1000 bytes "
		       "(latency)");
}

/* A proxy may carry the transfers of a rank in another process, whose handles and context mean
 * nothing here: they must not be looked at. */
static void transfers_of_another_process_stay_unnamed(void **state)
{
	struct step step = step_of(ncclProfileColl, "AllReduce", getpid() + 1);

	(void)state;
	step.context = (void *)0x10; /* NOLINT(performance-no-int-to-ptr): what must not be read */
	send_as(&step);
	assert_summary("unnamed 1 messages 1000 bytes (bulk)");
}

static void events_of_other_networks_are_no_answer(void **state)
{
	struct step step = step_of(ncclProfileColl, "AllReduce", getpid());

	(void)state;
	step.other_id = (2 << 16) | 1;
	send_as(&step);
	assert_summary("unnamed 1 messages 1000 bytes (bulk)");
}

static void unknown_functions_are_unnamed(void **state)
{
	struct step step = step_of(ncclProfileColl, "PutSignal", getpid());
	struct step orphan = { .context = context };

	(void)state;
	send_as(&step);
	send_as(&orphan);
	assert_summary("unnamed 2 messages 2000 bytes (bulk)");
}

/* With NCCL_PROFILER_PLUGIN the profiler is somebody else, and an event that is never stopped would
 * be left with it. */
static void a_profiler_that_is_not_ours_is_not_asked(void **state)
{
	struct step step = step_of(ncclProfileColl, "AllReduce", getpid());

	(void)state;
	assert_int_equal(V3->finalize(context), ncclSuccess);
	context = NULL;
	send_as(&step);
	assert_int_equal(nasked, 0);
	assert_summary("unnamed 1 messages 1000 bytes (bulk)");
	assert_int_equal(init_prof("ep_0"), ncclSuccess);
}

static void kinds_that_were_not_asked_for_do_no_harm(void **state)
{
	ncclProfilerEventStateArgs_v4_t args = { .proxyStep = { .transSize = 1 } };
	int last = version >= 6   ? ncclProfileCeBatch
		   : version == 5 ? ncclProfileKernelLaunch
				  : ncclProfileNetPlugin;

	(void)state;
	for (int type = ncclProfileGroup; type <= last; type <<= 1) {
		void *handle = start((struct event){ .type = type, .pid = getpid() });

		if (version >= 4)
			assert_int_equal(V4->recordEventState(handle, 8, &args), ncclSuccess);
		stop(handle);
	}
	pair_close(&pair);
}

/* --- net v11, which is told operations --- */

static int mask_with(const char *rules, int net_version)
{
	assert_int_equal(setenv("LINA_CLASSES", rules, 1), 0);
	open_net(net_version);
	open_prof("ep_0");
	int got = mask;
	close_all(NULL);
	return got;
}

static void net_v11_asks_only_for_names(void **state)
{
	(void)state;
	assert_int_equal(mask_with("", 11), 0);
	assert_int_equal(mask_with("traffic:1=bulk,allreduce=latency,all=bulk", 12), 0);
	assert_int_equal(mask_with("all=bulk,comm:x=latency", 11), ncclProfileNetPlugin);
	assert_int_equal(mask_with("comm:x=latency", 12), ncclProfileNetPlugin);
	assert_int_equal(mask_with("", 11), 0);
}

/* NCCL runs over another network: nobody has a question. */
static void nobody_asks_where_there_is_no_network(void **state)
{
	(void)state;
	open_prof("x");
	assert_int_equal(mask, 0);
	close_prof();
}

static void name_of_the_communicator_decides(void **state)
{
	(void)state;
	assert_int_equal(setenv("LINA_CLASSES", "comm:ep_*=latency", 1), 0);
	open_net(10);
	open_prof("ep_0");
	pair_open(&pair, &end, &end);
	struct step step = step_of(ncclProfileColl, "AllReduce", getpid());
	send_as(&step);
	/* v3 says names with events, where this test has none. */
	assert_summary(version == 3 ? "allreduce 1 messages 1000 bytes (bulk)"
				    : "allreduce 1 messages 1000 bytes (latency)");
	close_all(NULL);
}

static void v3_names_the_communicator_with_its_events(void **state)
{
	ncclProfilerEventDescr_v3_t descr = { .type = ncclProfileP2p,
		.p2p = { .name = "ep_1", .func = "Recv" } };
	void *handle = NULL;

	(void)state;
	if (version != 3)
		return;
	assert_int_equal(setenv("LINA_CLASSES", "comm:ep_*=latency", 1), 0);
	open_net(10);
	open_prof(NULL);
	pair_open(&pair, &end, &end);
	assert_int_equal(V3->startEvent(context, &handle, &descr), ncclSuccess);
	struct step step = step_of(ncclProfileColl, "AllReduce", getpid());
	send_as(&step);
	assert_summary("allreduce 1 messages 1000 bytes (latency)");
	close_all(NULL);
}

#define OPEN(test) cmocka_unit_test_setup_teardown(test, open_all, close_all)

static int run_on(int v)
{
	const struct CMUnitTest tests[] = {
		OPEN(nothing_but_the_networks_events_is_asked_for),
		OPEN(function_names_the_transfer),
		OPEN(transfers_of_another_process_stay_unnamed),
		OPEN(events_of_other_networks_are_no_answer),
		OPEN(unknown_functions_are_unnamed),
		OPEN(a_profiler_that_is_not_ours_is_not_asked),
		OPEN(kinds_that_were_not_asked_for_do_no_harm),
		cmocka_unit_test(net_v11_asks_only_for_names),
		cmocka_unit_test(nobody_asks_where_there_is_no_network),
		cmocka_unit_test(name_of_the_communicator_decides),
		cmocka_unit_test(v3_names_the_communicator_with_its_events),
	};
	char group[24];

	version = v;
	(void)snprintf(group, sizeof(group), "profiler v%d", v);
	return cmocka_run_group_tests_name(group, tests, NULL, NULL);
}

int main(void)
{
	int nfailed = 0;

	if (setenv("LINA_IFNAME", "=lo", 1) != 0)
		return EXIT_FAILURE;
	for (int v = FIRST; v <= LAST; v++)
		nfailed += run_on(v);
	return nfailed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
