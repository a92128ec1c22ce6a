#include "fault/rails.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const rails_classes[] = { "all=bulk", "all=latency", "all=latency LINA_HOT_FIRST=1",
	"all=bulk LINA_ADAPTIVE_ROUTING=1", "all=latency LINA_ADAPTIVE_ROUTING=1" };

/* --- a connection over nrails devices --- */

static void conns_open(struct run *r, int dev)
{
	uint8_t handle[LINA_HANDLE_BYTES];
	uint64_t until_ms = now_ms() + WAIT_MS;

	assert_int_equal(lina_net_listen(r->net, dev, handle, &r->listener), 0);
	while (!r->send || !r->recv) {
		assert_true(now_ms() < until_ms);
		if (!r->send)
			assert_int_equal(lina_net_connect(r->net, dev, LINA_TRAFFIC_CLASS_UNSET,
						 handle, &r->send),
				0);
		if (!r->recv)
			assert_int_equal(lina_net_accept(r->listener, &r->recv), 0);
	}
}

static void messages_make(struct run *r)
{
	for (int i = 0; i < MESSAGES; i++) {
		struct message *m = &r->message[i];
		m->from = malloc(MESSAGE_MAX_BYTES);
		m->to = malloc(MESSAGE_MAX_BYTES);
		assert_int_equal(lina_net_reg(r->send, m->from, MESSAGE_MAX_BYTES, LINA_PTR_HOST, 0,
					 -1, &m->from_mr),
			0);
		assert_int_equal(lina_net_reg(r->recv, m->to, MESSAGE_MAX_BYTES, LINA_PTR_HOST, 0,
					 -1, &m->to_mr),
			0);
	}
}

void net_make(struct run *r, int nrails, const char *classes)
{
	struct fabric_settings settings = fabric_defaults();
	char text[256];

	*r = (struct run){ .random = 7 };
	settings.ndevices = nrails;
	fabric_start(&settings);
	(void)snprintf(text, sizeof(text),
		"LINA_TRANSPORT=verbs LINA_RAIL_RETRY_MS=10 LINA_GRANT_BYTES=131072 "
		"LINA_PEER_TIMEOUT_MS=1000 LINA_MERGE=1 LINA_CLASSES=%s",
		classes);
	assert_int_equal(net_open(text, &r->net), 0);
}

void run_connect(struct run *r)
{
	conns_open(r, 0);
	messages_make(r);
}

void run_open(struct run *r, int nrails, const char *classes)
{
	net_make(r, nrails, classes);
	run_connect(r);
	log_forget();
}

void run_close(struct run *r)
{
	lina_net_close_send(r->send);
	lina_net_close_recv(r->recv);
	lina_net_close_listen(r->listener);
	lina_net_close(r->net);
	for (int i = 0; i < MESSAGES; i++) {
		free(r->message[i].from);
		free(r->message[i].to);
	}
	assert_true(fabric_nothing_live());
	assert_int_equal(fabric_counts().misuses, 0);
}

/* --- messages --- */

void message_post(struct run *r, struct message *m, int tag)
{
	size_t room = MESSAGE_MAX_BYTES;
	void *to = m->to;

	fill(m->from, m->bytes, (uint64_t)tag + m->bytes);
	memset(m->to, 0, room);
	assert_int_equal(lina_net_recv(r->recv, 1, &to, &room, &tag, &m->to_mr, NULL, &m->recv), 0);
	assert_int_equal(
		lina_net_send(r->send, m->from, m->bytes, tag, m->from_mr, NULL, &m->send), 0);
	assert_non_null(m->recv);
	assert_non_null(m->send);
}

int turn(struct lina_request **request, int *bytes_p)
{
	int done = 0;

	int err = *request ? lina_net_test(*request, &done, bytes_p) : 0;
	if (done)
		*request = NULL;
	return err;
}

int messages_finish(struct run *r)
{
	uint64_t until_ms = now_ms() + WAIT_MS;
	int left = MESSAGES, err = 0;

	while (left && !err) {
		assert_true(now_ms() < until_ms);
		left = 0;
		for (int i = 0; i < MESSAGES && !err; i++) {
			struct message *m = &r->message[i];
			int got = -1;
			err = turn(&m->send, NULL);
			if (!err)
				err = turn(&m->recv, &got);
			assert_true(got < 0 || m->recv || (size_t)got == m->bytes);
			left += m->send || m->recv;
		}
	}
	return err;
}

void messages_post(struct run *r)
{
	for (int i = 0; i < MESSAGES; i++) {
		struct message *m = &r->message[i];
		bool small = random_next(&r->random) % 4 == 0;
		m->bytes = random_next(&r->random) % (small ? 100 : MESSAGE_MAX_BYTES);
		message_post(r, m, i % 3);
	}
}

void messages_check(const struct run *r)
{
	for (int i = 0; i < MESSAGES; i++) {
		const struct message *m = &r->message[i];
		assert_true(is_filled(m->to, m->bytes, (uint64_t)(i % 3) + m->bytes));
	}
}

void messages_arrive(struct run *r)
{
	messages_post(r);
	int err = messages_finish(r);
	if (err)
		fail_msg("%s: %s", strerror(-err), log_text());
	messages_check(r);
}

uint64_t bytes_of(int dev)
{
	static struct fabric_post posts[FABRIC_POSTS_MAX];
	uint64_t bytes = 0;

	int n = fabric_posts(posts, FABRIC_POSTS_MAX);
	for (int i = 0; i < n; i++)
		bytes += posts[i].dev == dev ? posts[i].bytes : 0;
	return bytes;
}

void used_again(struct run *r, int dev)
{
	uint64_t until_ms = now_ms() + WAIT_MS;

	do {
		assert_true(now_ms() < until_ms);
		fabric_posts_forget();
		messages_arrive(r);
	} while (bytes_of(dev) < 100000);
}
