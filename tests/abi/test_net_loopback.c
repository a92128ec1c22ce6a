/*
 * The plugin itself, loaded as NCCL loads it, sends to itself through every table: sizes, grouped
 * receives, closing in every order, unloading and loading again.
 * Usage: test_net_loopback [RDMA-DEVICE [VERSION...]]; over TCP on the loopback interface without a
 * device, and all versions of the table without any.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "abi/pair.h"

enum { NFLIGHT = 32, NRELOADS = 5, SETTLE_MS = 5000 };

static int version; /* of the table under test */
static const char *device = "lo";
static struct end end;
static struct pair pair;

static struct census before;

static int open_both(void **state)
{
	(void)state;
	before = census_take();
	end_open(&end, version);
	pair_open(&pair, &end, &end);
	return 0;
}

/* A thread that was joined may be in the list for a moment. */
static struct census census_settled(void)
{
	struct census after = census_take();

	for (int i = 0; i < SETTLE_MS && after.nthreads != before.nthreads; i++) {
		nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
		after = census_take();
	}
	return after;
}

static void assert_as_before(void)
{
	struct census after = census_settled();

	assert_int_equal(after.nfds, before.nfds);
	assert_int_equal(after.nthreads, before.nthreads);
	assert_null(dlopen(PLUGIN, RTLD_NOW | RTLD_NOLOAD));
}

static int close_both(void **state)
{
	(void)state;
	pair_close(&pair);
	end_close(&end);
	assert_as_before();
	return 0;
}

static void device_is_the_only_one(void **state)
{
	ncclNetProperties_v12_t props;
	size_t ndamaged;
	int ndev = 0;

	(void)state;
	assert_int_equal(drive_devices(&end.drive, &ndev), ncclSuccess);
	assert_int_equal(ndev, 1);
	assert_int_equal(drive_props(&end.drive, 0, &props, &ndamaged), ncclSuccess);
	assert_int_equal(ndamaged, 0);
	assert_string_equal(props.name, device);
	assert_true(props.ptrSupport & NCCL_PTR_HOST);
	assert_true(props.speed > 0);
	assert_in_range(props.maxRecvs, 1, LINA_RECVS_MAX);
	assert_true(props.maxComms > 0);
	assert_int_not_equal(drive_props(&end.drive, 1, &props, &ndamaged), ncclSuccess);
	assert_int_not_equal(drive_props(&end.drive, -1, &props, &ndamaged), ncclSuccess);
}

static void send_one(size_t bytes, size_t room, int tag, unsigned seed)
{
	struct buffer from = buffer_make(&end, pair.send_conn, bytes);
	struct buffer to = buffer_make(&end, pair.recv_conn, room);
	int sent = -1, received = -1;
	void *recv_request, *send_request;

	buffer_fill(&from, seed);
	recv_request = pair_recv(&pair, 1, &to, &tag);
	send_request = pair_send(&pair, &from, tag);
	pair_finish(&pair, send_request, recv_request, &sent, &received);
	assert_int_equal(sent, bytes);
	assert_int_equal(received, bytes);
	buffer_check(&to, seed, bytes);
	buffer_free(&end, pair.send_conn, &from);
	buffer_free(&end, pair.recv_conn, &to);
}

static void every_size_arrives(void **state)
{
	static const size_t sizes[] = { 0, 1, 7, 8, 4095, 4096, 65539, 1 << 20, (8 << 20) + 1, 0,
		3 };

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		send_one(sizes[i], sizes[i], (int)i, (unsigned)i);
}

static void less_than_asked_for_is_told(void **state)
{
	static const size_t sizes[] = { 0, 1, 1000, 99999 };

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		send_one(sizes[i], 100000, -5, 20 + (unsigned)i);
}

/* Message i is sent in the order order(i), receive i has tag 100 + i. */
static void send_group(int n, int stride)
{
	struct buffer from[LINA_RECVS_MAX] = { 0 }, to[LINA_RECVS_MAX] = { 0 };
	int tags[LINA_RECVS_MAX], received[LINA_RECVS_MAX];
	void *recv_request, *send_requests[LINA_RECVS_MAX];

	for (int i = 0; i < n; i++) {
		from[i] = buffer_make(&end, pair.send_conn, (size_t)i * 3001);
		to[i] = buffer_make(&end, pair.recv_conn, (size_t)i * 3001 + 17);
		buffer_fill(&from[i], (unsigned)i);
		tags[i] = 100 + i;
		received[i] = -1;
	}
	recv_request = pair_recv(&pair, n, to, tags);
	for (int i = 0; i < n; i++) {
		int nth = (i * stride + 1) % n;

		send_requests[i] = pair_send(&pair, &from[nth], tags[nth]);
	}
	for (int i = 0; i < n; i++)
		pair_finish(&pair, send_requests[i], NULL, NULL, NULL);
	pair_finish(&pair, NULL, recv_request, NULL, received);
	for (int i = 0; i < n; i++) {
		assert_int_equal(received[i], i * 3001);
		buffer_check(&to[i], (unsigned)i, (size_t)i * 3001);
		buffer_free(&end, pair.send_conn, &from[i]);
		buffer_free(&end, pair.recv_conn, &to[i]);
	}
}

static void grouped_receives_go_by_tag(void **state)
{
	(void)state;
	for (int n = 1; n <= LINA_RECVS_MAX; n++) {
		send_group(n, 1);
		send_group(n, n - 1 > 0 ? n - 1
					: 1); /* backwards; n - 1 and n have no factor in common */
	}
}

/* NCCL has up to 32 requests of each direction in flight. */
static void many_are_in_flight(void **state)
{
	struct buffer from[NFLIGHT], to[NFLIGHT];
	void *send_requests[NFLIGHT], *recv_requests[NFLIGHT];

	(void)state;
	for (int i = 0; i < NFLIGHT; i++) {
		int tag = i % 4;

		from[i] = buffer_make(&end, pair.send_conn, 10000 + (size_t)i);
		to[i] = buffer_make(&end, pair.recv_conn, 10000 + (size_t)i);
		buffer_fill(&from[i], (unsigned)i);
		recv_requests[i] = pair_recv(&pair, 1, &to[i], &tag);
	}
	for (int i = 0; i < NFLIGHT; i++)
		send_requests[i] = pair_send(&pair, &from[i], i % 4);
	for (int i = NFLIGHT - 1; i >= 0; i--)
		pair_finish(&pair, send_requests[i], recv_requests[i], NULL, NULL);
	for (int i = 0; i < NFLIGHT; i++) {
		buffer_check(&to[i], (unsigned)i, to[i].bytes);
		buffer_free(&end, pair.send_conn, &from[i]);
		buffer_free(&end, pair.recv_conn, &to[i]);
	}
}

static void flush_ends(void **state)
{
	struct buffer to = buffer_make(&end, pair.recv_conn, 1000);
	int bytes = 1000, done = 0;
	void *request = NULL;

	(void)state;
	assert_int_equal(drive_flush(&end.drive, pair.recv_conn, 1, (void **)&to.data, &bytes,
				 &to.mr, &request),
		ncclSuccess);
	pair_clock(true);
	while (request != NULL && !done) {
		assert_int_equal(drive_test(&end.drive, request, &done, NULL), ncclSuccess);
		pair_clock(false);
	}
	buffer_free(&end, pair.recv_conn, &to);
}

static void bad_arguments_are_refused(void **state)
{
	struct buffer to = buffer_make(&end, pair.recv_conn, 16);
	char byte;
	void *out = &byte;
	unsigned char handle[NCCL_NET_HANDLE_MAXSIZE] = { 0 };

	(void)state;
	assert_int_not_equal(
		drive_reg(&end.drive, pair.send_conn, &byte, 1, NCCL_PTR_CUDA, &out), ncclSuccess);
	assert_null(out);
	assert_int_not_equal(
		drive_connect(&end.drive, end.ctx, 0, NULL, handle, &out, NULL), ncclSuccess);
	assert_null(out);
	assert_int_not_equal(drive_listen(&end.drive, end.ctx, 99, handle, &out), ncclSuccess);
	assert_null(out);
	buffer_free(&end, pair.recv_conn, &to);
}

static int nlogged;

static void count_line(ncclDebugLogLevel level, unsigned long flags, const char *file, int line,
	const char *fmt, ...)
{
	(void)level, (void)flags, (void)file, (void)line, (void)fmt;
	nlogged++;
}

static void logger_stays_where_a_later_context_has_none(void **state)
{
	struct end first = { 0 }, second = { 0 };
	ncclNetProperties_v12_t props;
	size_t ndamaged;

	(void)state;
	assert_int_equal(drive_open(&first.drive, PLUGIN, 12), 0);
	assert_int_equal(drive_open(&second.drive, PLUGIN, 12), 0);
	assert_int_equal(
		drive_init(&first.drive, &first.ctx, 1, NULL, count_line, NULL), ncclSuccess);
	assert_int_equal(drive_init(&second.drive, &second.ctx, 2, NULL, NULL, NULL), ncclSuccess);
	nlogged = 0;
	assert_int_not_equal(drive_props(&second.drive, 99, &props, &ndamaged), ncclSuccess);
	assert_int_equal(nlogged, 1);
	end_close(&second);
	end_close(&first);
}

/* --- closing --- */

typedef void closer(struct pair *pair);

static void close_in_order(closer *const *order)
{
	struct buffer from = buffer_make(&end, pair.send_conn, 100000);
	struct buffer to = buffer_make(&end, pair.recv_conn, 100000);
	int tag = 3;

	/* In flight: one that has met its other half, one of each side alone. */
	(void)pair_recv(&pair, 1, &to, &tag);
	(void)pair_send(&pair, &from, tag);
	(void)pair_recv(&pair, 1, &to, &tag);
	/* NCCL takes back the memory first, then closes. */
	buffer_free(&end, pair.send_conn, &from);
	buffer_free(&end, pair.recv_conn, &to);
	for (int i = 0; i < 3; i++)
		order[i](&pair);
	pair_open(&pair, &end, &end);
}

static void all_is_closed_in_any_order(void **state)
{
	closer *const all[3] = { pair_close_listener, pair_close_sender, pair_close_receiver };
	static const int orders[][3] = { { 0, 1, 2 }, { 0, 2, 1 }, { 1, 0, 2 }, { 1, 2, 0 },
		{ 2, 0, 1 }, { 2, 1, 0 } };

	(void)state;
	for (size_t i = 0; i < sizeof(orders) / sizeof(orders[0]); i++) {
		closer *order[3] = { all[orders[i][0]], all[orders[i][1]], all[orders[i][2]] };

		close_in_order(order);
	}
}

/* The process or the communicator goes with everything open: nothing may stay. */
static void unloading_closes_what_is_left(void **state)
{
	(void)state;
	for (int i = 0; i < 3; i++) {
		/* i = 0: all is open; 1: the sender is closed; 2: the receiver is. */
		if (i == 1)
			pair_close_sender(&pair);
		if (i == 2)
			pair_close_receiver(&pair);
		end_close(&end);
		assert_as_before();
		end_open(&end, version);
		pair_open(&pair, &end, &end);
	}
}

static void half_open_connection_is_closed(void **state)
{
	unsigned char handle[NCCL_NET_HANDLE_MAXSIZE];
	void *listener = NULL, *conn = NULL;

	(void)state;
	assert_int_equal(drive_listen(&end.drive, end.ctx, 0, handle, &listener), ncclSuccess);
	assert_int_equal(drive_accept(&end.drive, listener, &conn, NULL), ncclSuccess);
	assert_null(conn);
	assert_int_equal(
		drive_connect(&end.drive, end.ctx, 0, NULL, handle, &conn, NULL), ncclSuccess);
	assert_int_equal(drive_close_listen(&end.drive, listener), ncclSuccess);
	if (conn != NULL)
		assert_int_equal(drive_close_send(&end.drive, conn), ncclSuccess);
	/* An attempt to connect belongs to the context; close_both looks for what is left. */
}

static void reloading_starts_anew(void **state)
{
	(void)state;
	for (int i = 0; i < NRELOADS; i++) {
		send_one(5000, 5000, i, (unsigned)i);
		pair_close(&pair);
		end_close(&end);
		assert_as_before();
		end_open(&end, version);
		pair_open(&pair, &end, &end);
	}
}

/* --- two contexts, two tables --- */

static void every_table_talks_to_every_other(void **state)
{
	struct end other, mine = end;

	(void)state;
	for (int v = DRIVE_FIRST; v <= DRIVE_LAST; v++) {
		struct pair mixed;
		struct buffer from, to;
		int tag = v, received = -1;
		void *recv_request;

		end_open(&other, v);
		pair_open(&mixed, &mine, &other);
		from = buffer_make(&mine, mixed.send_conn, 70000);
		to = buffer_make(&other, mixed.recv_conn, 70000);
		buffer_fill(&from, (unsigned)v);
		recv_request = pair_recv(&mixed, 1, &to, &tag);
		pair_finish(&mixed, pair_send(&mixed, &from, tag), recv_request, NULL, &received);
		assert_int_equal(received, 70000);
		buffer_check(&to, (unsigned)v, 70000);
		buffer_free(&mine, mixed.send_conn, &from);
		buffer_free(&other, mixed.recv_conn, &to);
		pair_close(&mixed);
		end_close(&other);
	}
}

#define BOTH(test) cmocka_unit_test_setup_teardown(test, open_both, close_both)

static int run_on(int v)
{
	const struct CMUnitTest tests[] = {
		BOTH(device_is_the_only_one),
		BOTH(every_size_arrives),
		BOTH(less_than_asked_for_is_told),
		BOTH(grouped_receives_go_by_tag),
		BOTH(many_are_in_flight),
		BOTH(flush_ends),
		BOTH(bad_arguments_are_refused),
		BOTH(logger_stays_where_a_later_context_has_none),
		BOTH(all_is_closed_in_any_order),
		BOTH(unloading_closes_what_is_left),
		BOTH(half_open_connection_is_closed),
		BOTH(reloading_starts_anew),
		BOTH(every_table_talks_to_every_other),
	};
	char group[24];

	version = v;
	(void)snprintf(group, sizeof(group), "net v%d", v);
	return cmocka_run_group_tests_name(group, tests, NULL, NULL);
}

/* Over the device called name, or over TCP. */
static int choose(const char *name)
{
	char exact[80];

	if (setenv("LINA_IFNAME", "=lo", 1) != 0)
		return -1;
	if (!name)
		return setenv("LINA_TRANSPORT", "tcp", 1);
	device = name;
	(void)snprintf(exact, sizeof(exact), "=%s", name);
	return setenv("LINA_TRANSPORT", "verbs", 1) | setenv("LINA_HCA", exact, 1);
}

static bool is_asked_for(int v, int n, char *const *versions)
{
	for (int i = 0; i < n; i++)
		if (atoi(versions[i]) == v)
			return true;
	return n <= 0;
}

int main(int argc, char **argv)
{
	int nfailed = 0, nrun = 0;

	if (choose(argc > 1 ? argv[1] : NULL) != 0)
		return EXIT_FAILURE;
	for (int v = DRIVE_FIRST; v <= DRIVE_LAST; v++) {
		if (!is_asked_for(v, argc - 2, argv + 2))
			continue;
		nfailed += run_on(v);
		nrun++;
	}
	if (nrun < argc - 2) {
		(void)fprintf(stderr, "versions are %d to %d\n", DRIVE_FIRST, DRIVE_LAST);
		return EXIT_FAILURE;
	}
	return nfailed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
