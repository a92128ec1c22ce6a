/* Bulk goes in chunks: what overtakes it, in what order, and how much of it is below. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "engine.h"
#include "net/evil.h"
#include "plugin/sock.h"
#include "plugin/tcp_recv.h"
#include "plugin/tcp_send.h"

enum {
	LITTLE = 1000,
	NLITTLE = 8,
	CHUNK = 16384,
	WINDOW = 65536,
	MANY = 8 << 20,
	HUGE_BYTES = 256 << 20,
	MIRROR = 1 << 20,
	EVIL_ROOM = 16384,
};

/* As long as a test runs, bulk waits for latency traffic and gets no more than is set. */
#define FOR_EVER                                                                    \
	"LINA_HOLD_MAX_MS=3600000 LINA_BULK_SHARE_PERCENT=0 LINA_RELAX_MS=3600000 " \
	"LINA_LINGER_US=0 "
#define CHUNKED FOR_EVER "LINA_CHUNK_BYTES=16384 LINA_WINDOW_BYTES=65536 "

static const struct tcp_sender *sender(const struct lina_conn *conn)
{
	return (const struct tcp_sender *)conn;
}

static void quick_step(struct lina_request *send, struct lina_request *recv)
{
	int done = 0;

	assert_int_equal(lina_net_test(send, &done, NULL), 0);
	assert_int_equal(done, 0);
	assert_int_equal(lina_net_test(recv, &done, NULL), 0);
	assert_int_equal(done, 0);
}

/* --- overtaking --- */

static void little_latency_messages_overtake_bulk_in_their_order(void **state)
{
	uint8_t from[NLITTLE][LITTLE], to[NLITTLE][LITTLE], *many = calloc(1, MANY);
	struct lina_request *send[NLITTLE], *recv[NLITTLE];

	(void)state;
	assert_non_null(many);
	engine_open(CHUNKED "LINA_GRANT_BYTES=1073741824");
	struct lina_conn *out = engine.quick.send, *in = engine.quick.recv;
	struct lina_request *bulk_in = recv_as(LINA_CLASS_BULK, in, many, MANY, 1);
	struct lina_request *bulk_out = send_as(LINA_CLASS_BULK, out, many, MANY, 1);
	while (!bulk_got(in))
		quick_step(bulk_out, bulk_in);
	for (int i = 0; i < NLITTLE; i++) {
		recv[i] = recv_as(LINA_CLASS_LATENCY, in, to[i], LITTLE, 2);
		fill(from[i], LITTLE, (uint64_t)i);
		send[i] = send_as(LINA_CLASS_LATENCY, out, from[i], LITTLE, 2);
	}
	for (int i = 0; i < NLITTLE; i++) {
		assert_int_equal(finish_both(send[i], recv[i], LIMIT_MS), 0);
		assert_true(is_filled(to[i], LITTLE, (uint64_t)i));
	}
	assert_true(bulk_got(in) < MANY);
	assert_int_equal(finish_both(bulk_out, bulk_in, LIMIT_MS), 0);
	free(many);
}

/* The receiver tells early messages of one tag apart by their order. */
static void early_messages_of_one_tag_keep_their_order_whatever_their_class(void **state)
{
	static const enum lina_class classes[NLITTLE] = { LINA_CLASS_BULK, LINA_CLASS_LATENCY,
		LINA_CLASS_LATENCY, LINA_CLASS_BULK, LINA_CLASS_LATENCY, LINA_CLASS_BULK,
		LINA_CLASS_BULK, LINA_CLASS_LATENCY };
	uint8_t from[NLITTLE][LITTLE], to[NLITTLE][LITTLE];
	struct lina_request *send[NLITTLE], *recv[NLITTLE];
	int done = 0;

	(void)state;
	engine_open(FOR_EVER);
	latency_get_stuck(true);
	for (int i = 0; i < NLITTLE; i++) {
		fill(from[i], LITTLE, (uint64_t)i);
		send[i] = send_as(classes[i], engine.quick.send, from[i], LITTLE, 5);
	}
	assert_true(sender(engine.quick.send)->bulk_earlies > 0);
	for (int i = 0; i < NLITTLE; i++) {
		recv[i] = recv_as(classes[i], engine.quick.recv, to[i], LITTLE, 5);
		assert_int_equal(lina_net_test(recv[i], &done, NULL), 0);
		assert_int_equal(done, 0);
		if (i == NLITTLE / 2) /* some come before and some after bulk is free to go */
			assert_int_equal(latency_finish(), 0);
	}
	for (int i = 0; i < NLITTLE; i++) {
		assert_int_equal(finish_both(send[i], recv[i], LIMIT_MS), 0);
		assert_true(is_filled(to[i], LITTLE, (uint64_t)i));
	}
}

/* As much memory as one MIRROR, at every MIRROR of bytes again. */
static uint8_t *mirror_open(size_t bytes)
{
	uint8_t *at = mmap(NULL, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int fd = memfd_create("mirror", 0);

	assert_true(at != MAP_FAILED && fd >= 0);
	assert_int_equal(ftruncate(fd, MIRROR), 0);
	for (size_t i = 0; i < bytes; i += MIRROR)
		assert_true(mmap(at + i, MIRROR, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd,
				    0) == at + i);
	assert_int_equal(close(fd), 0);
	return at;
}

/* One isend of all there is must not keep the lane until its end. */
static void a_latency_message_arrives_in_the_middle_of_a_huge_bulk_message(void **state)
{
	uint8_t little[LITTLE], to[LITTLE], *huge = mirror_open(HUGE_BYTES);

	(void)state;
	engine_open(FOR_EVER "LINA_GRANT_BYTES=1073741824");
	fill(little, LITTLE, 4);
	struct lina_conn *out = engine.quick.send, *in = engine.quick.recv;
	struct lina_request *bulk_in = recv_as(LINA_CLASS_BULK, in, huge, HUGE_BYTES, 1);
	struct lina_request *bulk_out = send_as(LINA_CLASS_BULK, out, huge, HUGE_BYTES, 1);
	while (bulk_got(in) < HUGE_BYTES / 4)
		quick_step(bulk_out, bulk_in);
	struct lina_request *recv = recv_as(LINA_CLASS_LATENCY, in, to, LITTLE, 2);
	struct lina_request *send = send_as(LINA_CLASS_LATENCY, out, little, LITTLE, 2);
	assert_int_equal(finish_both(send, recv, LIMIT_MS), 0);
	assert_true(is_filled(to, LITTLE, 4));
	assert_in_range(bulk_got(in), HUGE_BYTES / 4, HUGE_BYTES / 2);
	assert_int_equal(finish_both(bulk_out, bulk_in, LIMIT_MS), 0);
	assert_int_equal(munmap(huge, HUGE_BYTES), 0);
}

/* --- no bytes, and several lanes --- */

static void bulk_of_no_bytes_arrives(void **state)
{
	uint8_t nothing[1];

	(void)state;
	for (int early = 0; early < 2; early++) {
		engine_open(early ? FOR_EVER : FOR_EVER "LINA_EARLY_BYTES=0");
		latency_get_stuck(true);
		bulk_post(); /* held; what follows has nothing to hold */
		struct lina_request *recv =
			recv_as(LINA_CLASS_BULK, engine.quick.recv, nothing, 0, 6);
		struct lina_request *send = send_as(LINA_CLASS_BULK, engine.quick.send, NULL, 0, 6);
		bulk_waits();
		assert_int_equal(latency_finish(), 0);
		assert_int_equal(bulk_finish(), 0);
		assert_int_equal(finish_both(send, recv, LIMIT_MS), 0);
		assert_int_equal(sched_out(engine.quick.send)->nbulk, 0);
		if (!early)
			engine_close(NULL);
	}
}

/* Sizes that no number of lanes divides. */
static void bulk_goes_over_several_lanes(void **state)
{
	static const size_t sizes[] = { 1, 65537, 1000003, 3000001, 16385 };
	enum { NSIZES = sizeof(sizes) / sizeof(*sizes) };
	struct lina_request *send[NSIZES], *recv[NSIZES];
	uint8_t *from[NSIZES], *to[NSIZES];

	(void)state;
	engine_open(CHUNKED "LINA_LANES=4 LINA_GRANT_BYTES=200000");
	for (int i = 0; i < NSIZES; i++) {
		from[i] = malloc(sizes[i]);
		to[i] = malloc(sizes[i]);
		assert_true(from[i] && to[i]);
		fill(from[i], sizes[i], (uint64_t)i);
		recv[i] = recv_as(LINA_CLASS_BULK, engine.quick.recv, to[i], sizes[i], i);
		send[i] = send_as(LINA_CLASS_BULK, engine.quick.send, from[i], sizes[i], i);
	}
	for (int i = NSIZES - 1; i >= 0; i--)
		assert_int_equal(finish_both(send[i], recv[i], LIMIT_MS), 0);
	for (int i = 0; i < NSIZES; i++) {
		assert_true(is_filled(to[i], sizes[i], (uint64_t)i));
		free(from[i]);
		free(to[i]);
	}
	assert_true(bulk_got(engine.quick.recv) >= 4000000);
}

/* --- what is below --- */

/* A receiving end that reads when it is told to, and the bulk that is sent to it. */
static struct {
	int fd[2]; /* of data, of credit */
	struct lina_conn *conn;
	struct lina_request *send;
	uint8_t *from;
} slow;

static void slow_open(size_t bytes)
{
	struct lina_wire_credit credit = { .n = 1 };

	evil_room(EVIL_ROOM);
	evil_receiver(engine.slow.net, 0, slow.fd, &slow.conn);
	evil_room(0);
	slow.from = calloc(1, bytes);
	assert_non_null(slow.from);
	credit.entry[0].bytes = bytes;
	evil_credit(slow.fd[1], &credit);
	slow.send = send_as(LINA_CLASS_BULK, slow.conn, slow.from, bytes, 0);
}

static void slow_close(void)
{
	assert_int_equal(lina_net_close_send(slow.conn), 0);
	assert_int_equal(close(slow.fd[0]), 0);
	assert_int_equal(close(slow.fd[1]), 0);
	free(slow.from);
}

static size_t slow_read(void)
{
	uint8_t unwanted[4096];
	ssize_t n = recv(slow.fd[0], unwanted, sizeof(unwanted), MSG_DONTWAIT);

	return n > 0 ? (size_t)n : 0;
}

static size_t slow_below(void)
{
	int done = 0;

	assert_int_equal(lina_net_test(slow.send, &done, NULL), 0);
	assert_int_equal(done, 0);
	return lina_sock_unacked(sender(slow.conn)->conn.fd[0]);
}

/* So that what is set for a link with latency traffic holds. */
static void latency_pass(void)
{
	uint8_t byte = 1;
	struct lina_request *recv = recv_as(LINA_CLASS_LATENCY, engine.quick.recv, &byte, 1, 1);
	struct lina_request *send = send_as(LINA_CLASS_LATENCY, engine.quick.send, &byte, 1, 1);

	assert_int_equal(finish_both(send, recv, LIMIT_MS), 0);
}

static void the_kernel_never_has_more_than_the_window(void **state)
{
	enum { HEADS = (WINDOW / CHUNK + 2) * 2 * LINA_DATA_HEAD_BYTES };
	size_t most = 0, got = 0;
	uint64_t deadline = now_ms() + LIMIT_MS;

	(void)state;
	engine_open(CHUNKED);
	latency_pass();
	slow_open(MANY);
	while (got < MANY / 8 && now_ms() < deadline) {
		size_t below = slow_below();
		most = below > most ? below : most;
		got += slow_read();
	}
	assert_true(got >= MANY / 8);
	assert_in_range(most, CHUNK, WINDOW + CHUNK + HEADS);
	slow_close();
}

/* NULL: it has ended. */
static struct lina_request *tested(struct lina_request *request)
{
	int done = 0;

	assert_int_equal(lina_net_test(request, &done, NULL), 0);
	return done ? NULL : request;
}

/* What a receiver has not read it has granted. */
static void the_network_never_has_more_than_the_grant(void **state)
{
	enum { SMALL_GRANT = 65536 };
	int done = 0;
	uint8_t *many = calloc(1, MANY);

	(void)state;
	assert_non_null(many);
	engine_open(FOR_EVER "LINA_GRANT_BYTES=65536");
	latency_pass();
	struct lina_conn *out = engine.quick.send, *in = engine.quick.recv;
	struct lina_request *bulk_in = recv_as(LINA_CLASS_BULK, in, many, MANY, 1);
	struct lina_request *bulk_out = send_as(LINA_CLASS_BULK, out, many, MANY, 1);
	while (!done) {
		for (int i = 0; i < 20 && bulk_out; i++)
			bulk_out = tested(bulk_out);
		uint64_t sent = MANY - sender(out)->bulk_left;
		assert_in_range(sent - bulk_got(in), 0, SMALL_GRANT);
		assert_int_equal(lina_net_test(bulk_in, &done, NULL), 0);
	}
	if (bulk_out)
		assert_int_equal(finish_within(bulk_out, LIMIT_MS, NULL), 0);
	free(many);
}

/* --- the share --- */

static void bulk_keeps_its_share_while_it_waits(void **state)
{
	uint64_t deadline = now_ms() + LIMIT_MS;

	(void)state;
	engine_open("LINA_HOLD_MAX_MS=3600000 LINA_BULK_SHARE_PERCENT=50 LINA_RELAX_MS=3600000 "
		    "LINA_CHUNK_BYTES=16384 LINA_WINDOW_BYTES=65536");
	latency_pass();
	slow_open(LARGE);
	const struct lina_sched *sched = sched_out(slow.conn);
	while (!sched->params.byte_ps && now_ms() < deadline) {
		(void)slow_below();
		(void)slow_read();
	}
	assert_true(sched->params.byte_ps > 0);
	latency_get_stuck(true);
	uint64_t before = sched->counts.bytes[LINA_CLASS_BULK];
	while (sched->counts.bytes[LINA_CLASS_BULK] < before + 5 * (uint64_t)CHUNK &&
		now_ms() < deadline) {
		(void)slow_below();
		(void)slow_read();
	}
	assert_true(sched->counts.bytes[LINA_CLASS_BULK] >= before + 5 * (uint64_t)CHUNK);
	assert_true(sched->held);
	assert_true(sched->counts.share_fired >= 4);
	assert_int_equal(log_notes("link lo: bulk traffic goes on with its "
				   "LINA_BULK_SHARE_PERCENT=50 %"),
		1);
	slow_close();
}

#define EACH(test) cmocka_unit_test_teardown(test, engine_close)

int main(void)
{
	const struct CMUnitTest tests[] = {
		EACH(little_latency_messages_overtake_bulk_in_their_order),
		EACH(early_messages_of_one_tag_keep_their_order_whatever_their_class),
		EACH(a_latency_message_arrives_in_the_middle_of_a_huge_bulk_message),
		EACH(bulk_of_no_bytes_arrives),
		EACH(bulk_goes_over_several_lanes),
		EACH(the_kernel_never_has_more_than_the_window),
		EACH(the_network_never_has_more_than_the_grant),
		EACH(bulk_keeps_its_share_while_it_waits),
	};

	return cmocka_run_group_tests_name("chunks", tests, NULL, NULL);
}
