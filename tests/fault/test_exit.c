/* A sender whose process ends as soon as its sends are done, without closing anything: nothing of
 * what it sent may be lost, though the receiver has not read it yet and still says something. */
#include <signal.h>
#include <stdlib.h>

#include "child.h"

/* More than the receiver's kernel takes in unread. */
enum { MESSAGES = 20, BYTES = 20 << 10, ALL = MESSAGES * BYTES, SEED = 3 };

static const char latency[] = "LINA_CLASSES=all=latency LINA_EARLY_BYTES=0";
static const char bulk[] = "LINA_CLASSES=all=bulk LINA_EARLY_BYTES=0 LINA_GRANT_BYTES=450000";
static const char early[] = "LINA_CLASSES=all=latency";
static const char lanes[] = "LINA_CLASSES=all=latency LINA_LANES=3";

static const char *settings; /* of the case that runs */

/* All of it is with the kernel when it says so. */
static void child_sends(int from, int to)
{
	static uint8_t data[ALL];
	struct lina_request *sends[MESSAGES];

	child_open_with(settings);
	struct lina_conn *conn = child_connect(from);
	fill(data, ALL, SEED);
	for (int i = 0; i < MESSAGES; i++)
		sends[i] = post_send(conn, data + (size_t)i * BYTES, BYTES, 0);
	for (int i = 0; i < MESSAGES; i++)
		if (finish_within(sends[i], LIMIT_MS, NULL))
			die("the child does not send");
	pipe_write(to, "", 1);
}

static void child_sends_and_exits(int from, int to)
{
	child_sends(from, to);
}

static void child_sends_and_is_killed(int from, int to)
{
	child_sends(from, to);
	(void)raise(SIGKILL);
}

static void all_arrives(struct lina_request *const *recvs, const uint8_t *got)
{
	for (int i = 0; i < MESSAGES; i++) {
		int err = finish_within(recvs[i], LIMIT_MS, NULL);
		if (err)
			fail_msg("message %d: %s", i, log_text());
		sleep_ms(1);
	}
	assert_true(is_filled(got, ALL, SEED));
	assert_int_equal(log_warnings(), 0);
}

/* Reads when the sender has gone, and has told it of one more receive by then. */
static void nothing_is_lost_with(void (*run)(int from, int to), int expected)
{
	struct lina_request *recvs[MESSAGES + 1];
	uint8_t *got = malloc(ALL + 1);

	struct child child = child_start(run);
	parent_open_with(settings);
	struct lina_conn *conn = parent_accept(&child);
	for (int i = 0; i < MESSAGES; i++)
		recvs[i] = post_recv(conn, got + (size_t)i * BYTES, BYTES, 0);
	child_is_ready(&child);
	assert_int_equal(child_end(&child, 0), expected);
	recvs[MESSAGES] = post_recv(conn, got + ALL, 1, 0);
	sleep_ms(50);
	all_arrives(recvs, got);
	fails_as_of_a_dead_peer(recvs[MESSAGES]);
	free(got);
}

static void latency_data_of_a_process_that_exits(void **state)
{
	(void)state;
	settings = latency;
	nothing_is_lost_with(child_sends_and_exits, 0);
}

static void latency_data_of_a_process_that_is_killed(void **state)
{
	(void)state;
	settings = latency;
	nothing_is_lost_with(child_sends_and_is_killed, -SIGKILL);
}

/* The receiver has grants to give for what it reads. */
static void bulk_of_a_process_that_is_killed(void **state)
{
	(void)state;
	settings = bulk;
	nothing_is_lost_with(child_sends_and_is_killed, -SIGKILL);
}

/* It has heard of no receive, and so leaves all of them unread. */
static void early_data_of_a_process_that_is_killed(void **state)
{
	(void)state;
	settings = early;
	nothing_is_lost_with(child_sends_and_is_killed, -SIGKILL);
}

static void data_on_lanes_of_a_process_that_is_killed(void **state)
{
	(void)state;
	settings = lanes;
	nothing_is_lost_with(child_sends_and_is_killed, -SIGKILL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(latency_data_of_a_process_that_exits),
		CASE(latency_data_of_a_process_that_is_killed),
		CASE(bulk_of_a_process_that_is_killed),
		CASE(early_data_of_a_process_that_is_killed),
		CASE(data_on_lanes_of_a_process_that_is_killed),
	};

	(void)signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests_name("exit", tests, NULL, NULL);
}
