/* The contract: tables, contexts, devices. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum { NTHREADS = 8 };

#include "abi/contract.h"

static void table_is_whole(void **state)
{
	struct drive_slots slots = drive_slots(&drive);

	(void)state;
	assert_string_equal(slots.name, "lina");
	assert_true(slots.needed);
	assert_false(slots.optional);
}

/* --- contexts --- */

static void init_says_all(void **state)
{
	int traffic_class = 42;

	(void)state;
	assert_int_equal(contract_init(&traffic_class), ncclSuccess);
	assert_int_equal(rec.nopens, 1);
	assert_ptr_equal((void *)rec.params.log, (void *)thing_log);
	assert_ptr_equal((void *)rec.params.profiler,
		drive_has_profiles(&drive) ? (void *)thing_profiler : NULL);
	if (drive_has_context(&drive)) {
		assert_ptr_equal(ctx, &rec_objects[1]);
		assert_true(rec.params.comm_id == THING_COMM_ID);
		assert_int_equal(rec.params.traffic_class, 42);
	} else {
		assert_true(rec.params.comm_id == 0);
		assert_int_equal(rec.params.traffic_class, UNSET);
	}
}

static void init_without_class_has_none(void **state)
{
	int unset = NCCL_NET_TRAFFIC_CLASS_UNDEF;

	(void)state;
	assert_int_equal(contract_init(NULL), ncclSuccess);
	assert_int_equal(rec.params.traffic_class, UNSET);
	assert_int_equal(contract_init(&unset), ncclSuccess);
	assert_int_equal(rec.params.traffic_class, UNSET);
}

static void contexts_are_per_communicator(void **state)
{
	void *first;

	(void)state;
	assert_int_equal(contract_init(NULL), ncclSuccess);
	first = ctx;
	assert_int_equal(contract_init(NULL), ncclSuccess);
	assert_int_equal(rec.nopens, 2);
	assert_ptr_not_equal(ctx, first);
	assert_int_equal(drive_finalize(&drive, first), ncclSuccess);
	assert_int_equal(rec.call, REC_CLOSE);
	assert_ptr_equal(rec.object, first);
	assert_int_equal(drive_finalize(&drive, ctx), ncclSuccess);
	assert_ptr_equal(rec.object, ctx);
}

static void context_is_per_process(void **state)
{
	(void)state;
	assert_int_equal(contract_init(NULL), ncclSuccess);
	assert_int_equal(contract_init(NULL), ncclSuccess);
	assert_int_equal(rec.nopens, 1);
}

static void failed_init_is_told_and_can_be_repeated(void **state)
{
	(void)state;
	ctx = &things[0];
	rec.open_result = -ENODEV;
	assert_int_equal(contract_init(NULL), ncclSystemError);
	rec.open_result = -EINVAL;
	assert_int_equal(contract_init(NULL), ncclInvalidArgument);
	if (drive_has_context(&drive))
		assert_null(ctx);
	rec.open_result = -EAGAIN;
	assert_int_equal(contract_init(NULL), ncclSystemError);
	assert_int_equal(rec.nopens, 3);
	rec.open_result = 0;
	assert_int_equal(contract_init(NULL), ncclSuccess);
	assert_int_equal(rec.nopens, 4);
}

static void unloading_closes_what_has_no_finalize(void **state)
{
	(void)state;
	assert_int_equal(contract_init(NULL), ncclSuccess);
	if (drive_has_context(&drive))
		assert_int_equal(drive_finalize(&drive, ctx), ncclSuccess);
	drive_close(&drive);
	assert_int_equal(rec.ncloses, 1);
	assert_ptr_equal(rec.object, &rec_objects[1]);
}

static void unloading_unused_closes_nothing(void **state)
{
	(void)state;
	drive_close(&drive);
	assert_int_equal(rec.nopens, 0);
	assert_int_equal(rec.ncloses, 0);
}

/* NCCL 2.22 forgets to initialise what it loads for the second time. */
static void first_call_opens_where_init_is_missing(void **state)
{
	ncclNetProperties_v12_t props;
	size_t ndamaged;
	void *out;
	int ndev, version = drive.version;

	(void)state;
	assert_int_equal(drive_props(&drive, 0, &props, &ndamaged), ncclSuccess);
	assert_int_equal(rec.nopens, 1);
	for (int i = 0; i < 3; i++) {
		drive_close(&drive);
		assert_int_equal(rec.ncloses, i + 1);
		assert_int_equal(drive_open(&drive, ABI_MODULE, version), 0);
		assert_int_equal(i == 0 ? drive_devices(&drive, &ndev)
				 : i == 1
					 ? drive_listen(&drive, NULL, 0, things, &out)
					 : drive_connect(&drive, NULL, 0, NULL, things, &out, NULL),
			ncclSuccess);
		assert_int_equal(rec.nopens, i + 2);
		if (i > 0)
			assert_ptr_equal(rec.object, &rec_objects[i + 2]);
	}
}

static void first_call_tells_a_failed_open(void **state)
{
	ncclNetProperties_v12_t props;
	size_t ndamaged;
	void *out = things;
	int ndev;

	(void)state;
	rec.open_result = -ENOMEM;
	assert_int_equal(drive_props(&drive, 0, &props, &ndamaged), ncclSystemError);
	assert_int_equal(drive_devices(&drive, &ndev), ncclSystemError);
	assert_int_equal(drive_listen(&drive, NULL, 0, things, &out), ncclSystemError);
	assert_null(out);
	out = things;
	assert_int_equal(drive_connect(&drive, NULL, 0, NULL, things, &out, NULL), ncclSystemError);
	assert_null(out);
	assert_int_equal(rec.nopens, 4);
	assert_int_equal(rec.call, REC_OPEN);
}

static void *call_init(void *failed)
{
	void *mine;

	if (drive_init(&drive, &mine, 1, NULL, thing_log, NULL) != ncclSuccess)
		atomic_fetch_add((atomic_int *)failed, 1);
	return NULL;
}

static void process_context_is_opened_once(void **state)
{
	pthread_t threads[NTHREADS];
	atomic_int failed = 0;

	(void)state;
	for (int i = 0; i < NTHREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, call_init, &failed), 0);
	for (int i = 0; i < NTHREADS; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	assert_int_equal(failed, 0);
	assert_int_equal(rec.nopens, 1);
}

/* Ends a child process with the library loaded and initialised, or unloaded before; returns how
 * many contexts were closed. */
static int ncloses_of_a_process(bool unloads)
{
	int fds[2], status, ncloses = 0;
	char byte;
	pid_t child;

	assert_return_code(pipe(fds), errno);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		rec.close_fd = fds[1];
		if (contract_init(NULL) != ncclSuccess)
			_exit(2);
		if (unloads)
			drive_close(&drive);
		exit(0);
	}
	(void)close(fds[1]);
	while (read(fds[0], &byte, 1) == 1)
		ncloses++;
	(void)close(fds[0]);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	return ncloses;
}

static void exit_of_the_process_closes_nothing(void **state)
{
	(void)state;
	assert_int_equal(ncloses_of_a_process(false), 0);
	assert_int_equal(ncloses_of_a_process(true), drive_has_context(&drive) ? 0 : 1);
}

/* --- devices --- */

static void devices_are_counted(void **state)
{
	int ndev = -1;

	(void)state;
	rec.ndev = 3;
	assert_int_equal(drive_devices(&drive, &ndev), ncclSuccess);
	assert_int_equal(ndev, 3);
	rec.result = -ENODEV;
	assert_int_equal(drive_devices(&drive, &ndev), ncclSystemError);
}

static struct lina_net_props some_props(int ndevs)
{
	struct lina_net_props props = {
		.name = "eth7",
		.pci_path = "/sys/class/net/eth7/device",
		.guid = 0xfedcba9876543210u,
		.ptr_support = 5,
		.reg_is_global = true,
		.force_flush = true,
		.speed_mbps = 100000,
		.port = 11,
		.latency_us = 12.5f,
		.max_comms = 65536,
		.max_recvs = 8,
		.ndevs = ndevs,
		.max_p2p_bytes = (size_t)1 << 40,
		.max_coll_bytes = (size_t)1 << 39,
		.max_multi_request = 17,
		.rail_id = 301,
		.plane_id = -1,
	};

	for (int i = 0; i < ndevs; i++)
		props.devs[i] = 100 + i;
	return props;
}

static void check_props(const ncclNetProperties_v12_t *out, const struct lina_net_props *in)
{
	size_t ndevs = (size_t)in->ndevs, room = drive_max_devs(&drive);
	int version = drive.version;

	assert_string_equal(out->name, in->name);
	assert_ptr_equal(out->pciPath, in->pci_path);
	assert_true(out->guid == in->guid);
	assert_int_equal(out->ptrSupport, in->ptr_support);
	assert_int_equal(out->regIsGlobal, in->reg_is_global);
	assert_int_equal(out->speed, in->speed_mbps);
	assert_int_equal(out->port, in->port);
	assert_true(out->latency == in->latency_us);
	assert_int_equal(out->maxComms, in->max_comms);
	assert_int_equal(out->maxRecvs, in->max_recvs);
	assert_int_equal(out->netDeviceType, 0);
	assert_int_equal(out->netDeviceVersion, 0);
	if (version >= 9) {
		assert_int_equal(out->forceFlush, in->force_flush);
		assert_true(out->maxP2pBytes == in->max_p2p_bytes);
		assert_true(out->maxCollBytes == in->max_coll_bytes);
		assert_int_equal(out->vProps.ndevs, ndevs < room ? ndevs : room);
		for (size_t i = 0; i < ndevs && i < room; i++)
			assert_int_equal(out->vProps.devs[i], in->devs[i]);
	}
	if (version >= 11)
		assert_int_equal(out->maxMultiRequestSize, in->max_multi_request);
	if (version >= 12) {
		assert_int_equal(out->railId, in->rail_id);
		assert_int_equal(out->planeId, in->plane_id);
	}
}

static void properties_are_told_field_by_field(void **state)
{
	static const int ndevs[] = { 0, 1, 4, 5, 8 };

	(void)state;
	for (size_t i = 0; i < sizeof(ndevs) / sizeof(ndevs[0]); i++) {
		ncclNetProperties_v12_t out;
		size_t ndamaged = 99;

		rec.props = some_props(ndevs[i]);
		assert_int_equal(drive_props(&drive, 5, &out, &ndamaged), ncclSuccess);
		assert_int_equal(rec.call, REC_PROPS);
		assert_int_equal(rec.dev, 5);
		assert_int_equal(ndamaged, 0);
		check_props(&out, &rec.props);
	}
}

static void plain_device_has_plain_properties(void **state)
{
	ncclNetProperties_v12_t out;
	size_t ndamaged;

	(void)state;
	rec.props = some_props(1);
	rec.props.pci_path = NULL;
	rec.props.reg_is_global = rec.props.force_flush = false;
	rec.props.rail_id = rec.props.plane_id = LINA_ID_UNSET;
	assert_int_equal(drive_props(&drive, 0, &out, &ndamaged), ncclSuccess);
	check_props(&out, &rec.props);
	rec.result = -EINVAL;
	assert_int_equal(drive_props(&drive, 9, &out, &ndamaged), ncclInvalidArgument);
	assert_int_equal(ndamaged, 0);
}

static void devices_are_merged(void **state)
{
	const int devs[] = { 3, 1, 2, 0 };
	int dev = -1;

	(void)state;
	rec.ndev = 7;
	assert_int_equal(drive_merge(&drive, &dev, 4, devs), ncclSuccess);
	assert_int_equal(rec.call, REC_MERGE);
	assert_int_equal(rec.n, 4);
	assert_memory_equal(rec.devs, devs, sizeof(devs));
	assert_int_equal(dev, 7);
	rec.result = -EINVAL;
	assert_int_equal(drive_merge(&drive, &dev, 1, devs), ncclInvalidArgument);
	assert_int_equal(dev, 7);
}

const struct contract contract_contexts[] = {
	CONTRACT_LOADED(table_is_whole),
	CONTRACT_LOADED(init_says_all),
	CONTRACT_LOADED(init_without_class_has_none),
	CONTRACT_LOADED_OF(contexts_are_per_communicator, 11, 12),
	CONTRACT_LOADED_OF(context_is_per_process, 8, 10),
	CONTRACT_LOADED(failed_init_is_told_and_can_be_repeated),
	CONTRACT_LOADED(unloading_closes_what_has_no_finalize),
	CONTRACT_LOADED(unloading_unused_closes_nothing),
	CONTRACT_LOADED_OF(first_call_opens_where_init_is_missing, 8, 10),
	CONTRACT_LOADED_OF(first_call_tells_a_failed_open, 8, 10),
	CONTRACT_LOADED_OF(process_context_is_opened_once, 8, 10),
	CONTRACT_LOADED(exit_of_the_process_closes_nothing),
	CONTRACT_READY(devices_are_counted),
	CONTRACT_READY(properties_are_told_field_by_field),
	CONTRACT_READY_OF(devices_are_merged, 9, 12),
	CONTRACT_READY(plain_device_has_plain_properties),
};
const size_t contract_ncontexts = sizeof(contract_contexts) / sizeof(contract_contexts[0]);
