/* Which class a request gets, seen from both ends of a connection and in the summary of its
 * communicator. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/fixture.h"
#include "priority/class.h"

enum { SUMMARY_BYTES = 512, TRAFFIC_CLASS = 1, FINISH_MS = 10000 };

static char summary[SUMMARY_BYTES];

static void keep_summary(int level, unsigned long flags, const char *file, int line,
	const char *fmt, ...) __attribute__((format(printf, 5, 6)));

static void keep_summary(
	int level, unsigned long flags, const char *file, int line, const char *fmt, ...)
{
	char text[SUMMARY_BYTES];
	va_list args;

	(void)level, (void)flags, (void)file, (void)line;
	va_start(args, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	if (strstr(text, "communicator ") != NULL)
		memcpy(summary, text, sizeof(summary));
}

static struct lina_net *open_net(const char *rules, uint64_t comm_id, int traffic_class)
{
	const struct lina_net_params params = {
		.comm_id = comm_id,
		.names_ops = true,
		.traffic_class = traffic_class,
		.log = keep_summary,
	};
	struct lina_net *net;

	assert_int_equal(setenv("LINA_IFNAME", "=lo", 1), 0);
	assert_int_equal(setenv("LINA_CLASSES", rules, 1), 0);
	assert_int_equal(lina_net_open(&params, &net), 0);
	return net;
}

static void send_one(struct pair *pair, uint32_t mask, size_t bytes)
{
	struct lina_net_attr attr = { .op = mask };
	char from[64] = { 0 }, to[64];

	assert_int_equal(lina_net_attr_set(pair->net, &attr), 0);
	struct lina_request *recv = post_recv(pair->recv, to, sizeof(to), 1);
	struct lina_request *send = post_send(pair->send, from, bytes, 1);
	assert_int_equal(finish_both(send, recv, FINISH_MS), 0);
}

/* One allreduce, one all-to-all and one that NCCL does not name, over net. */
static void send_three(struct lina_net *net)
{
	struct pair pair;

	assert_int_equal(pair_connect(net, &pair), 0);
	send_one(&pair, UINT32_C(1) << LINA_OP_ALLREDUCE, 11);
	send_one(&pair, UINT32_C(1) << LINA_OP_ALLTOALL, 22);
	send_one(&pair, UINT32_MAX, 33);
	assert_int_equal(lina_net_close_send(pair.send), 0);
	assert_int_equal(lina_net_close_recv(pair.recv), 0);
}

static void assert_summary(const char *rules, int traffic_class, const char *expected)
{
	struct lina_net *net = open_net(rules, 0xabc, traffic_class);

	send_three(net);
	summary[0] = '\0';
	assert_int_equal(lina_net_close(net), 0);
	assert_string_equal(summary, expected);
}

#define SENT "NET/Lina: communicator abc sent "

static void operation_decides_without_rules(void **state)
{
	(void)state;
	assert_summary("", TRAFFIC_CLASS,
		SENT
		"allreduce 1 messages 11 bytes (bulk), alltoall 1 messages 22 bytes (latency), "
		"unnamed 1 messages 33 bytes (bulk)");
}

static void traffic_class_makes_a_communicator_all_latency(void **state)
{
	(void)state;
	assert_summary("traffic:1=latency", TRAFFIC_CLASS,
		SENT
		"allreduce 1 messages 11 bytes (latency), "
		"alltoall 1 messages 22 bytes (latency), unnamed 1 messages 33 bytes (latency)");
}

static void other_communicators_stay_as_they_are(void **state)
{
	struct lina_net *fifo = open_net("traffic:1=latency", 1, TRAFFIC_CLASS);

	(void)state;
	assert_summary("traffic:1=latency", LINA_TRAFFIC_CLASS_UNSET,
		SENT
		"allreduce 1 messages 11 bytes (bulk), alltoall 1 messages 22 bytes (latency), "
		"unnamed 1 messages 33 bytes (bulk)");
	assert_int_equal(lina_net_close(fifo), 0);
}

static void bad_rules_keep_the_plugin_from_starting(void **state)
{
	struct lina_net *net = NULL;

	(void)state;
	log_forget();
	assert_int_equal(net_open("LINA_CLASSES=alltoal=latency", &net), -EINVAL);
	assert_null(net);
	assert_true(log_says("'alltoal'"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(operation_decides_without_rules),
		cmocka_unit_test(traffic_class_makes_a_communicator_all_latency),
		cmocka_unit_test(other_communicators_stay_as_they_are),
		cmocka_unit_test(bad_rules_keep_the_plugin_from_starting),
	};

	return cmocka_run_group_tests_name("net classes", tests, NULL, NULL);
}
