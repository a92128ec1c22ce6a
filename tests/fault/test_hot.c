/* Latency traffic to several peers: the hottest goes first, by what was sent before or by the
 * placement table; messages of a connection keep their order. What the kernel has not sent yet is
 * the test's to say. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/cases.h"
#include "plugin/placement.h"
#include "plugin/tcp_send.h"
#include "plugin/wire.h"
#include "priority/class.h"

enum { NPEERS = 2, HOT = 0, COLD = 1, NMESSAGES = 4, TRIES = 50, SOON_MS = 10, COMM = 0x77 };
enum {
	HOT_BYTES = 800000,
	COLD_BYTES_ALL = 80000,
	FULL = 1 << 20,
	GAP_MS = 3,
	NLEARN = 20,
	ROOM = 32768
};

static struct pair peer[NPEERS]; /* one connection to each */
static uint8_t *from[NPEERS], *to[NPEERS];
static const size_t size[NPEERS] = { HOT_BYTES, COLD_BYTES_ALL };

static size_t unacked;

size_t __wrap_lina_sock_unacked(int fd);

size_t __wrap_lina_sock_unacked(int fd)
{
	(void)fd;
	return unacked;
}

/* As if another process listened, which is a device of the table. */
static void disguise(void *handle, uint64_t who)
{
	struct lina_wire_handle wire;

	MUST(lina_handle_decode(handle, &wire));
	wire.who = who;
	wire.device = (int32_t)who;
	lina_handle_encode(&wire, handle);
}

static void peer_connect(struct lina_net *net, int i)
{
	uint8_t handle[LINA_HANDLE_BYTES];
	struct lina_listener *listener;

	peer[i] = (struct pair){ .net = net };
	MUST(lina_net_listen(net, 0, handle, &listener));
	disguise(handle, (uint64_t)i);
	while (!peer[i].send || !peer[i].recv) {
		if (!peer[i].send)
			MUST(lina_net_connect(
				net, 0, LINA_TRAFFIC_CLASS_UNSET, handle, &peer[i].send));
		if (!peer[i].recv)
			MUST(lina_net_accept(listener, &peer[i].recv));
	}
	/* So that the kernel does not take a large message whole. */
	const struct tcp_conn *conn = (const struct tcp_conn *)peer[i].recv;
	MUST(setsockopt(conn->fd[0], SOL_SOCKET, SO_RCVBUF, &(int){ ROOM }, sizeof(int)));
	MUST(lina_net_close_listen(listener));
}

static void peers_open(const char *settings)
{
	const struct lina_net_attr attr = { .op = UINT32_C(1) << LINA_OP_ALLTOALL };
	struct lina_net *net;

	unacked = 0;
	log_forget();
	MUST(net_open(settings, &net));
	MUST(lina_net_attr_set(net, &attr));
	for (int i = 0; i < NPEERS; i++) {
		peer_connect(net, i);
		from[i] = bytes_new(size[i]);
		to[i] = bytes_new(size[i]);
	}
}

static void peers_close(void)
{
	MUST(lina_net_close(peer[0].net));
	for (int i = 0; i < NPEERS; i++) {
		free(from[i]);
		free(to[i]);
	}
}

/* Sends n messages to a peer, each with a receive that is posted before, which together have
 * its bytes. */
struct transfer {
	struct lina_request *send[NMESSAGES], *recv[NMESSAGES];
	int n;
};

static void transfer_begin(struct transfer *t, int i, int n)
{
	size_t bytes = size[i] / (size_t)n;

	fill(from[i], size[i], (uint64_t)i + 1);
	memset(to[i], 0, size[i]);
	t->n = n;
	for (int k = 0; k < n; k++)
		t->recv[k] = post_recv(peer[i].recv, to[i] + (size_t)k * bytes, bytes, 5);
	for (int k = 0; k < n; k++)
		t->send[k] = post_send(peer[i].send, from[i] + (size_t)k * bytes, bytes, 5);
}

static void transfer_finish(struct transfer *t, int i)
{
	for (int k = 0; k < t->n; k++)
		MUST(finish_both(t->send[k], t->recv[k], LIMIT_MS));
	assert_true(is_filled(to[i], size[i], (uint64_t)i + 1));
}

static void exchange(void)
{
	struct transfer t[NPEERS];

	for (int i = 0; i < NPEERS; i++)
		transfer_begin(&t[i], i, NMESSAGES);
	for (int i = 0; i < NPEERS; i++)
		transfer_finish(&t[i], i);
	sleep_ms(GAP_MS);
}

static size_t begun(int i)
{
	const struct tcp_sender *s = (const struct tcp_sender *)peer[i].send;

	return s->lane[0].request ? (size_t)(s->lane[0].payload - s->lane[0].chunk) : size[i];
}

/* Both peers have something queued of which the kernel has as much as it takes: whether the cold
 * one waits. false as well where the machine took so long that the hot one counts as stuck. */
static bool cold_waits(void)
{
	struct transfer t[NPEERS];

	unacked = FULL;
	transfer_begin(&t[HOT], HOT, 1);
	uint64_t since_ms = now_ms();
	bool more = begun(HOT) < size[HOT];
	transfer_begin(&t[COLD], COLD, 1);
	bool waits = begun(COLD) == 0 && more && now_ms() - since_ms < SOON_MS;
	unacked = 0;
	transfer_finish(&t[HOT], HOT);
	transfer_finish(&t[COLD], COLD);
	sleep_ms(GAP_MS);
	return waits;
}

static bool cold_waits_once(void)
{
	for (int i = 0; i < TRIES; i++)
		if (cold_waits())
			return true;
	return false;
}

static void the_hottest_peer_goes_first_as_learned(void **state)
{
	(void)state;
	peers_open("LINA_EARLY_BYTES=0 LINA_HOT_FIRST=1");
	assert_false(cold_waits());
	for (int i = 0; i < NLEARN; i++)
		exchange();
	assert_true(cold_waits_once());
	peers_close();
}

static void as_the_kernel_takes_it_where_nothing_is_asked_for(void **state)
{
	(void)state;
	peers_open("LINA_EARLY_BYTES=0");
	for (int i = 0; i < NLEARN; i++)
		exchange();
	for (int i = 0; i < 3; i++)
		assert_false(cold_waits());
	peers_close();
}

/* --- the table --- */

static const char *const hot_table = "lina-placement 1\nlayers 1\nexperts 2\ndevices 2\n"
				     "devices-per-node 1\nslots-per-device 4\ngeneration 1\n"
				     "layer 0\ndevice 0: 0 0 0 0\ndevice 1: 1 - - -\nend\n";

static char table_path[] = "/tmp/lina-test-XXXXXX";

static void table_write(const char *text)
{
	FILE *file = fopen(table_path, "w");

	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
}

static const char *with_table(const char *text)
{
	static char settings[128];

	table_write(text);
	snprintf(settings, sizeof(settings), "LINA_EARLY_BYTES=0 LINA_PLACEMENT=%s", table_path);
	return settings;
}

static void the_hottest_peer_goes_first_as_the_table_says(void **state)
{
	(void)state;
	peers_open(with_table(hot_table));
	assert_int_equal(log_warnings(), 0);
	assert_true(cold_waits_once());
	peers_close();
}

/* What is expected yields to what is seen. */
static void what_is_sent_counts_for_more_than_the_table(void **state)
{
	(void)state;
	peers_open(with_table("lina-placement 1\nlayers 1\nexperts 2\ndevices 2\n"
			      "devices-per-node 1\nslots-per-device 2\ngeneration 1\n"
			      "layer 0\ndevice 0: 0 -\ndevice 1: 1 1\nend\n"));
	assert_false(cold_waits());
	for (int i = 0; i < NLEARN; i++)
		exchange();
	assert_true(cold_waits_once());
	peers_close();
}

static void a_table_that_is_wrong_is_named_and_left_out(void **state)
{
	struct lina_net *net;
	char says[128];

	(void)state;
	log_forget();
	MUST(net_open(with_table("lina-placement 1\nlayers x\n"), &net));
	snprintf(says, sizeof(says), "LINA_PLACEMENT: %s:2:8: ", table_path);
	if (!log_says(says))
		fail_msg("no '%s' in: %s", says, log_text());
	assert_int_equal(log_warnings(), 1);
	MUST(lina_net_close(net));
	log_forget();
	MUST(net_open("LINA_PLACEMENT=/does/not/exist", &net));
	assert_true(log_says("LINA_PLACEMENT: /does/not/exist"));
	MUST(lina_net_close(net));
}

/* The rank of a communicator as large as the table, said by the profiler, is in its handles. */
static void a_listener_says_which_device_it_is(void **state)
{
	const struct lina_net_params params = {
		.comm_id = COMM, .traffic_class = LINA_TRAFFIC_CLASS_UNSET, .log = record_log
	};
	static const struct {
		int nranks, device;
	} cases[] = { { 2, 1 }, { 3, LINA_DEVICE_UNKNOWN } };

	(void)state;
	table_write(hot_table);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint8_t handle[LINA_HANDLE_BYTES];
		struct lina_wire_handle wire;
		struct lina_listener *listener;
		struct lina_net *net;
		assert_int_equal(setenv("LINA_PLACEMENT", table_path, 1), 0);
		MUST(lina_net_open(&params, &net));
		lina_placement_rank_add(COMM, 1, cases[i].nranks);
		lina_placement_rank_add(COMM + 1, 0, 2); /* another communicator's */
		MUST(lina_net_listen(net, 0, handle, &listener));
		MUST(lina_handle_decode(handle, &wire));
		assert_int_equal(wire.device, cases[i].device);
		lina_placement_rank_remove(COMM, 1);
		lina_placement_rank_remove(COMM + 1, 0);
		MUST(lina_net_close_listen(listener));
		MUST(lina_net_close(net));
	}
}

static int table_make(void **state)
{
	(void)state;
	int fd = mkstemp(table_path);
	return fd < 0 ? -1 : close(fd);
}

static int table_remove(void **state)
{
	(void)state;
	return unlink(table_path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_hottest_peer_goes_first_as_learned),
		cmocka_unit_test(as_the_kernel_takes_it_where_nothing_is_asked_for),
		cmocka_unit_test(the_hottest_peer_goes_first_as_the_table_says),
		cmocka_unit_test(what_is_sent_counts_for_more_than_the_table),
		cmocka_unit_test(a_table_that_is_wrong_is_named_and_left_out),
		cmocka_unit_test(a_listener_says_which_device_it_is),
	};

	return cmocka_run_group_tests(tests, table_make, table_remove);
}
