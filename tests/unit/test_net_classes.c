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
#include "plugin/conn_facts.h"
#include "priority/class.h"

enum { SUMMARY_BYTES = 512, TRAFFIC_CLASS = 1, FINISH_MS = 10000 };

static char summary[SUMMARY_BYTES], received[SUMMARY_BYTES];

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
	if (strstr(text, "communicator ") == NULL)
		return;
	memcpy(strstr(text, " received ") != NULL ? received : summary, text, sizeof(text));
}

static struct lina_net *open_with(const char *rules, const struct lina_net_params *params)
{
	struct lina_net *net;

	assert_int_equal(setenv("LINA_IFNAME", "=lo", 1), 0);
	assert_int_equal(setenv("LINA_CLASSES", rules, 1), 0);
	assert_int_equal(lina_net_open(params, &net), 0);
	return net;
}

static struct lina_net *open_net(const char *rules, uint64_t comm_id, int traffic_class)
{
	const struct lina_net_params params = {
		.comm_id = comm_id,
		.names_ops = true,
		.traffic_class = traffic_class,
		.log = keep_summary,
	};

	return open_with(rules, &params);
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
	/* Both ends are in this process, and each receive gave room for 64 bytes. */
	assert_non_null(
		strstr(received, "communicator abc received allreduce 1 messages 64 bytes"));
	assert_non_null(strstr(received, "alltoall 1 messages 64 bytes (latency)"));
	assert_non_null(strstr(received, "unnamed 1 messages 64 bytes"));
	assert_int_equal(strstr(received, "(bulk)") != NULL, strstr(summary, "(bulk)") != NULL);
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

/* --- an NCCL that says nothing of operations --- */

static void send_unnamed(struct pair *pair, size_t bytes)
{
	char from[64] = { 0 }, to[64];
	struct lina_request *recv = post_recv(pair->recv, to, sizeof(to), 1);
	struct lina_request *send = post_send(pair->send, from, bytes, 1);

	assert_int_equal(finish_both(send, recv, FINISH_MS), 0);
}

static void reg_buffers(struct lina_conn *conn, int n)
{
	static char buffer[3][64];
	struct lina_mr *mr;

	for (int i = 0; i < n; i++)
		assert_int_equal(
			lina_net_reg(conn, buffer[i], sizeof(buffer[i]), LINA_PTR_HOST, 0, -1, &mr),
			0);
}

/* A connection with so many buffers before its first transfer, and more behind it. */
static void connect_and_send(struct lina_net *net, int nregs, int nlater, const char *expected)
{
	struct pair pair;

	assert_int_equal(pair_connect(net, &pair), 0);
	reg_buffers(pair.send, nregs);
	send_unnamed(&pair, 10);
	reg_buffers(pair.send, nlater);
	send_unnamed(&pair, 20);
	summary[0] = '\0';
	assert_int_equal(lina_net_close_send(pair.send), 0);
	assert_string_equal(summary, ""); /* there is the other end still */
	assert_int_equal(lina_net_close_recv(pair.recv), 0);
	assert_string_equal(summary, expected);
}

#define SENT_BY_PROCESS "NET/Lina: communicator 0 sent "

static void buffers_of_a_connection_tell_what_it_is_for(void **state)
{
	const struct lina_net_params params = { .traffic_class = LINA_TRAFFIC_CLASS_UNSET,
		.log = keep_summary };
	struct lina_net *net = open_with("", &params);

	(void)state;
	connect_and_send(net, 3, 0, SENT_BY_PROCESS "collective 2 messages 30 bytes (bulk)");
	connect_and_send(net, 1, 3, SENT_BY_PROCESS "sendrecv 2 messages 30 bytes (latency)");
	connect_and_send(net, 2, 0, SENT_BY_PROCESS "sendrecv 2 messages 30 bytes (latency)");
	connect_and_send(net, 0, 0, SENT_BY_PROCESS "unnamed 2 messages 30 bytes (bulk)");
	summary[0] = '\0';
	assert_int_equal(lina_net_close(net), 0);
	assert_string_equal(summary, "");
	net = open_with("collective=latency,sendrecv=bulk", &params);
	connect_and_send(net, 3, 0, SENT_BY_PROCESS "collective 2 messages 30 bytes (latency)");
	connect_and_send(net, 1, 0, SENT_BY_PROCESS "sendrecv 2 messages 30 bytes (bulk)");
	assert_int_equal(lina_net_close(net), 0);
}

static void every_connection_has_its_own_facts(void **state)
{
	enum { NCONNS = 300 };
	static char conns[NCONNS][512]; /* never looked into */
	struct lina_conn_facts_table table = { 0 };

	(void)state;
	for (int i = 0; i < NCONNS; i++)
		lina_conn_facts_add(&table, (struct lina_conn *)(void *)conns[i], i);
	for (int i = 0; i < NCONNS; i += 2)
		lina_conn_facts_remove(&table, (struct lina_conn *)(void *)conns[i]);
	for (int i = 0; i < NCONNS; i++) {
		struct lina_conn_facts *facts =
			lina_conn_facts_find(&table, (struct lina_conn *)(void *)conns[i]);

		if (i % 2 == 0) {
			assert_null(facts);
			continue;
		}
		assert_int_equal(facts->traffic_class, i);
		assert_int_equal(facts->nregs, 0);
		assert_true(facts->op < 0);
	}
	for (int i = 0; i < NCONNS; i++)
		lina_conn_facts_remove(&table, (struct lina_conn *)(void *)conns[i]);
}

static void number_of_buffers_is_read_as_documented(void **state)
{
	(void)state;
	assert_int_equal(lina_op_of_regs(-1), -ENOENT);
	assert_int_equal(lina_op_of_regs(0), -ENOENT);
	assert_int_equal(lina_op_of_regs(1), LINA_OP_SENDRECV);
	assert_int_equal(lina_op_of_regs(2), LINA_OP_SENDRECV);
	assert_int_equal(lina_op_of_regs(3), LINA_OP_COLLECTIVE);
	assert_int_equal(lina_op_of_regs(100), LINA_OP_COLLECTIVE);
}

/* Net v10 says the traffic class when it connects, and only to the end that does. */
static void traffic_class_of_a_connection_decides(void **state)
{
	const struct lina_net_params params = { .traffic_class = LINA_TRAFFIC_CLASS_UNSET,
		.log = keep_summary };
	struct lina_net *net = open_with("traffic:4=latency", &params);
	uint8_t handle[LINA_HANDLE_BYTES];
	struct lina_listener *listener;
	struct pair pair = { .net = net };

	(void)state;
	assert_int_equal(lina_net_listen(net, 0, handle, &listener), 0);
	while (!pair.send || !pair.recv) {
		if (!pair.send)
			assert_int_equal(lina_net_connect(net, 0, 4, handle, &pair.send), 0);
		if (!pair.recv)
			assert_int_equal(lina_net_accept(listener, &pair.recv), 0);
	}
	reg_buffers(pair.send, 3);
	send_unnamed(&pair, 30);
	assert_int_equal(lina_net_close_send(pair.send), 0);
	assert_int_equal(lina_net_close_recv(pair.recv), 0);
	assert_string_equal(summary, SENT_BY_PROCESS "collective 1 messages 30 bytes (latency)");
	assert_int_equal(lina_net_close(net), 0);
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
		cmocka_unit_test(buffers_of_a_connection_tell_what_it_is_for),
		cmocka_unit_test(every_connection_has_its_own_facts),
		cmocka_unit_test(number_of_buffers_is_read_as_documented),
		cmocka_unit_test(traffic_class_of_a_connection_decides),
		cmocka_unit_test(bad_rules_keep_the_plugin_from_starting),
	};

	return cmocka_run_group_tests_name("net classes", tests, NULL, NULL);
}
