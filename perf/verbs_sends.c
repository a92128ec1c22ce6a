#include "perf/verbs_sends.h"

#include <stdlib.h>

#include "fake/fabric.h"
#include "net/fixture.h"
#include "priority/class.h"

enum { TAG = 1, LIMIT_MS = 20000 };

static uint8_t from[VERBS_SENDS_BYTES_MAX], to[VERBS_SENDS_BYTES_MAX];

static void send_one(const struct pair *pair, size_t bytes, struct lina_mr *out, struct lina_mr *in)
{
	struct lina_request *send = NULL, *recv = NULL;
	const int tag = TAG;
	void *data = to;

	int err = lina_net_recv(pair->recv, 1, &data, &bytes, &tag, &in, NULL, &recv);
	(void)fabric_pump(0);
	if (!err)
		err = lina_net_send(pair->send, from, bytes, tag, out, NULL, &send);
	if (err || !send || !recv || finish_both(send, recv, LIMIT_MS))
		die("a message has not come: %s", log_text());
}

/* As a NCCL that names the operation of each transfer opens it; all that is sent is bulk. */
static void pair_make(struct pair *pair_p)
{
	const struct lina_net_params params = {
		.traffic_class = LINA_TRAFFIC_CLASS_UNSET, .names_ops = true, .log = record_log
	};
	const struct lina_net_attr attr = { .op = UINT32_C(1) << LINA_OP_ALLREDUCE };

	(void)setenv("LINA_IFNAME", "=lo", 1);
	(void)setenv("LINA_TRANSPORT", "verbs", 1);
	(void)setenv("LINA_CHUNK_BYTES", "65536", 1);
	int err = lina_net_open(&params, &pair_p->net);
	if (!err)
		err = pair_connect(pair_p->net, pair_p);
	if (!err)
		err = lina_net_attr_set(pair_p->net, &attr);
	if (err)
		die("no connection: %s", log_text());
}

long verbs_sends(long n, long bytes)
{
	struct pair pair;

	pair_make(&pair);
	struct lina_mr *out = memory_at(pair.send, from, sizeof(from));
	struct lina_mr *in = memory_at(pair.recv, to, sizeof(to));
	long posts = fabric_counts().posts;
	for (long i = 0; i < n; i++)
		send_one(&pair, (size_t)bytes, out, in);
	posts = fabric_counts().posts - posts;
	pair_close(&pair);
	return posts;
}
