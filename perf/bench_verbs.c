/*
 * Sends of one micro-chunk each over RDMA devices of this process, for a count of the instructions
 * that one takes from isend to post_send: perf/bench_verbs runs it under callgrind. Each send finds
 * its credit there.
 * Usage: bench_verbs [SENDS [BYTES]]     1000 of 65536 bytes without them
 */
#include <stdio.h>
#include <stdlib.h>

#include "fake/fabric.h"
#include "net/fixture.h"
#include "priority/class.h"

enum { BYTES_MAX = 1 << 20, TAG = 1, LIMIT_MS = 20000 };

static uint8_t from[BYTES_MAX], to[BYTES_MAX];

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

int main(int argc, char **argv)
{
	long nsends = argc > 1 ? strtol(argv[1], NULL, 10) : 1000;
	long bytes = argc > 2 ? strtol(argv[2], NULL, 10) : 65536;
	struct pair pair;

	if (nsends < 1 || bytes < 1 || bytes > BYTES_MAX)
		die("usage: bench_verbs [SENDS [BYTES up to %d]]", BYTES_MAX);
	pair_make(&pair);
	struct lina_mr *out = memory_at(pair.send, from, sizeof(from));
	struct lina_mr *in = memory_at(pair.recv, to, sizeof(to));
	long posts = fabric_counts().posts;
	for (long i = 0; i < nsends; i++)
		send_one(&pair, (size_t)bytes, out, in);
	printf("%ld sends of %ld bytes, %ld work requests\n", nsends, bytes,
		fabric_counts().posts - posts);
	pair_close(&pair);
	return 0;
}
