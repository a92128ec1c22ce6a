/* Faults while rails break and come back, on RDMA devices of this process: each call fails in turn,
 * or many things at random. Whatever happens, data is right or the connection says why it is not,
 * soon, and nothing is left of it.
 * Usage: test_verbs_storm [SEED]     without one: fixed seeds */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fault/rails.h"

enum { FIXED_SEEDS = 24, RUNS = 10, FAULTS = 6, MOST_CALLS = 2000 };

/* --- both --- */

/* What is under way moves on. 0 or the error. */
static int all_turn(struct run *r)
{
	int err = 0;

	for (int i = 0; i < MESSAGES && !err; i++) {
		err = turn(&r->message[i].send, NULL);
		if (!err)
			err = turn(&r->message[i].recv, NULL);
	}
	return err;
}

/* As message_post, where a rail that is broken or full may make NCCL ask again. 0 or the error. */
static int message_begin(struct run *r, struct message *m, int tag)
{
	uint64_t until_ms = now_ms() + WAIT_MS;
	size_t room = MESSAGE_MAX_BYTES;
	void *to = m->to;
	int err = 0;

	fill(m->from, m->bytes, (uint64_t)tag + m->bytes);
	memset(m->to, 0, room);
	bool receives = false, sends = false;
	while (!(receives && sends) && !err) {
		assert_true(now_ms() < until_ms);
		if (!receives)
			err = lina_net_recv(
				r->recv, 1, &to, &room, &tag, &m->to_mr, NULL, &m->recv);
		receives = receives || m->recv;
		if (!sends && !err)
			err = lina_net_send(
				r->send, m->from, m->bytes, tag, m->from_mr, NULL, &m->send);
		sends = sends || m->send;
		if (!err)
			err = all_turn(r);
	}
	return err;
}

static size_t some_bytes(uint64_t dice)
{
	switch (dice % 8) {
	case 0:
		return 0;
	case 1:
		return MESSAGE_MAX_BYTES;
	case 2:
	case 3:
		return (dice >> 8) % 100;
	default:
		return (dice >> 8) % MESSAGE_MAX_BYTES;
	}
}

/* What is left of an earlier round was given up with its connection. */
static int round_begin(struct run *r)
{
	int err = 0;

	for (int i = 0; i < MESSAGES; i++)
		r->message[i].send = r->message[i].recv = NULL;
	for (int i = 0; i < MESSAGES && !err; i++) {
		r->message[i].bytes = some_bytes(random_next(&r->random));
		err = message_begin(r, &r->message[i], i % 3);
	}
	return err;
}

/* --- each call in turn --- */

static void round_passes(struct run *r, int down, const char *call, long n)
{
	int err = round_begin(r);

	if (down >= 0)
		fabric_port(down, false);
	if (!err)
		err = messages_finish(r);
	if (err)
		fail_msg("%s %ld: %s: %s", call, n, strerror(-err), log_text());
	messages_check(r);
}

static void carries_again(struct run *r, int dev, const char *call, long n)
{
	uint64_t until_ms = now_ms() + WAIT_MS;

	do {
		assert_true(now_ms() < until_ms);
		fabric_posts_forget();
		round_passes(r, -1, call, n);
	} while (bytes_of(dev) < 100000);
}

/* While one of two rails goes and comes back. false: the call was not reached. */
static bool survives(const char *call, long n, int call_err, int cls)
{
	struct run r;

	run_open(&r, 2, rails_classes[cls]);
	fabric_fail(call, n, call_err);
	for (int dev = 0; dev < 2; dev++) {
		round_passes(&r, dev, call, n);
		fabric_port(dev, true);
		carries_again(&r, dev, call, n);
	}
	bool met = fabric_failed();
	fabric_fail(NULL, 0, 0);
	run_close(&r);
	return met;
}

static void a_call_that_fails_costs_no_byte(void **state)
{
	static const struct {
		const char *name;
		int err;
	} calls[] = { { "post_send", -ENOMEM }, { "post_recv", -ENOMEM }, { "modify_qp", -EINVAL },
		{ "poll_cq", -EIO }, { "query_port", -EIO }, { "modify_qp", -ETIMEDOUT } };

	(void)state;
	for (size_t i = 0; i < sizeof(calls) / sizeof(*calls); i++)
		for (int cls = 0; cls < RAILS_NCLASSES; cls++)
			for (long n = 1;
				n < MOST_CALLS && survives(calls[i].name, n, calls[i].err, cls);)
				n += n < 24 ? 1 : 9;
}

/* --- at random --- */

static void something_fails(struct run *r, int ndevices)
{
	static const enum ibv_wc_status statuses[] = { IBV_WC_RETRY_EXC_ERR, IBV_WC_REM_INV_REQ_ERR,
		IBV_WC_REM_ACCESS_ERR, IBV_WC_LOC_QP_OP_ERR, IBV_WC_WR_FLUSH_ERR };
	static const char *const calls[] = { "post_send", "post_recv", "modify_qp" };
	uint64_t dice = random_next(&r->random);
	long n = (long)(1 + (dice >> 16) % 60);
	int dev = (int)((dice >> 32) % (unsigned)ndevices);

	switch (dice % 8) {
	case 0:
	case 1:
		fabric_fail_work(n, statuses[(dice >> 40) % 5], dice >> 50 & 1);
		break;
	case 2:
		fabric_fail(calls[(dice >> 40) % 3], n, -EINVAL);
		break;
	case 3:
		fabric_port(dev, false);
		break;
	case 4:
		fabric_port(dev, true);
		break;
	case 5:
		fabric_lose_recv(n);
		break;
	case 6:
		fabric_break_qps(dev);
		break;
	default:
		fabric_lose_send(n);
		break;
	}
}

static void ports_up(int ndevices)
{
	for (int dev = 0; dev < ndevices; dev++)
		fabric_port(dev, true);
}

static bool is_under_way(const struct run *r)
{
	for (int i = 0; i < MESSAGES; i++)
		if (r->message[i].send || r->message[i].recv)
			return true;
	return false;
}

/* Both ends' messages move, and things fail in between. 0, or the first error. */
static int round_finish(struct run *r, int nrails)
{
	uint64_t until_ms = now_ms() + WAIT_MS;
	int nfaults = 0, err = 0;

	while (is_under_way(r) && !err) {
		if (now_ms() > until_ms)
			fail_msg("stands still: %s", log_text());
		if (nfaults < FAULTS && random_next(&r->random) % 8 == 0) {
			nfaults++;
			something_fails(r, nrails);
		}
		if (nfaults == FAULTS)
			ports_up(nrails);
		err = all_turn(r);
	}
	ports_up(nrails);
	return err;
}

/* Rounds until the connection fails, or the last. */
static void storm(uint64_t seed)
{
	struct run r;
	int nrails = 1 + (int)(seed % 4), err = 0;

	run_open(&r, nrails, rails_classes[seed / 4 % RAILS_NWAYS]);
	r.random = seed * 0x9e3779b97f4a7c15u + 1;
	for (int i = 0; i < RUNS && !err; i++) {
		err = round_begin(&r);
		if (!err)
			err = round_finish(&r, nrails);
		if (!err)
			messages_check(&r);
	}
	if (err && log_warnings() == 0)
		fail_msg("seed %llu: %s, and no word of it", (unsigned long long)seed,
			strerror(-err));
	run_close(&r);
}

static uint64_t given_seed;

static void storms_cost_no_byte(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= FIXED_SEEDS && !given_seed; seed++)
		storm(seed);
	if (given_seed)
		storm(given_seed);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_call_that_fails_costs_no_byte),
		cmocka_unit_test(storms_cost_no_byte),
	};

	if (argc > 1)
		given_seed = strtoull(argv[1], NULL, 0);
	return cmocka_run_group_tests_name("verbs_storm", tests, NULL, NULL);
}
