/* Both ends at random, against a model that says which send meets which receive. */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "net/cases.h"

enum { MODEL_TAGS = 3, MODEL_MESSAGES = 400, MODEL_FLIGHT = 40, MODEL_MAX = 5000 };

/* Message k of a tag, as sent and as received; one of the two may not have happened yet. */
struct model_message {
	size_t bytes;
	uint8_t *from, *to;
	struct lina_request *send; /* NULL: not sent, or ended */
	uint64_t number;           /* from which its contents follow */
};

struct model_group {
	struct lina_request *request; /* NULL: free */
	int n;
	struct model_message *message[LINA_RECVS_MAX];
};

/* The k-th send of a tag belongs to the k-th buffer of that tag: row k of that tag. */
static struct {
	struct model_message message[MODEL_TAGS][MODEL_MESSAGES];
	int sent[MODEL_TAGS], received[MODEL_TAGS];
	struct model_group group[MODEL_FLIGHT];
	uint64_t random;
} model;

static size_t model_below(size_t n)
{
	return (size_t)(random_next(&model.random) % n);
}

static void model_fill(void)
{
	for (int tag = 0; tag < MODEL_TAGS; tag++) {
		model.sent[tag] = model.received[tag] = 0;
		for (int k = 0; k < MODEL_MESSAGES; k++) {
			struct model_message *m = &model.message[tag][k];
			m->number = (uint64_t)tag * MODEL_MESSAGES + (uint64_t)k;
			m->bytes = model_below(4) ? model_below(200) : model_below(MODEL_MAX);
			m->from = bytes_new(m->bytes);
			m->to = bytes_new(m->bytes);
			m->send = NULL;
			fill(m->from, m->bytes, m->number);
			memset(m->to, 0xaa, m->bytes);
		}
	}
}

static void model_free(void)
{
	for (int tag = 0; tag < MODEL_TAGS; tag++) {
		for (int k = 0; k < MODEL_MESSAGES; k++) {
			free(model.message[tag][k].from);
			free(model.message[tag][k].to);
		}
	}
}

/* Neither end runs further ahead of the other than the pools reach. */
static void model_send(void)
{
	int tag = (int)model_below(MODEL_TAGS);
	int k = model.sent[tag];

	if (k == MODEL_MESSAGES || k > model.received[tag] + 12)
		return;
	struct model_message *m = &model.message[tag][k];
	MUST(lina_net_send(pair.send, m->from, m->bytes, tag,
		memory_at(pair.send, m->from, m->bytes), NULL, &m->send));
	model.sent[tag] += m->send != NULL;
}

static void model_recv(void)
{
	struct model_group *g = &model.group[model_below(MODEL_FLIGHT)];
	void *data[LINA_RECVS_MAX];
	size_t room[LINA_RECVS_MAX];
	struct lina_mr *mrs[LINA_RECVS_MAX];
	int tags[LINA_RECVS_MAX];
	int n = 1 + (int)model_below(LINA_RECVS_MAX), posted = 0;

	if (g->request)
		return;
	for (int i = 0; i < n; i++) {
		int tag = (int)model_below(MODEL_TAGS);
		int k = model.received[tag];
		if (k == MODEL_MESSAGES || k > model.sent[tag] + 12)
			continue;
		struct model_message *m = &model.message[tag][k];
		model.received[tag]++;
		g->message[posted] = m;
		data[posted] = m->to;
		room[posted] = m->bytes;
		tags[posted++] = tag;
	}
	g->n = posted;
	memory_of(pair.recv, posted, data, room, mrs);
	if (posted > 0)
		MUST(lina_net_recv(pair.recv, posted, data, room, tags, mrs, NULL, &g->request));
	if (posted > 0 && !g->request)
		for (int i = posted - 1; i >= 0; i--)
			model.received[tags[i]]--;
}

static void model_test_send(struct model_message *m)
{
	int done = 0, bytes = -1;

	MUST(lina_net_test(m->send, &done, &bytes));
	if (!done)
		return;
	assert_int_equal(bytes, (int)m->bytes);
	m->send = NULL;
}

static void model_test_recv(struct model_group *g)
{
	int done = 0, bytes[LINA_RECVS_MAX];

	MUST(lina_net_test(g->request, &done, bytes));
	if (!done)
		return;
	for (int i = 0; i < g->n; i++) {
		const struct model_message *m = g->message[i];
		assert_int_equal(bytes[i], (int)m->bytes);
		assert_true(is_filled(m->to, m->bytes, m->number));
	}
	g->request = NULL;
}

/* One request at random, or all in flight: what is never asked for may stand still. */
static bool model_test(bool all)
{
	bool any = false;

	for (int tag = 0; tag < MODEL_TAGS; tag++) {
		for (int k = 0; k < model.sent[tag]; k++) {
			struct model_message *m = &model.message[tag][k];
			any = any || m->send;
			if (m->send && (all || model_below(8) == 0))
				model_test_send(m);
		}
	}
	for (int i = 0; i < MODEL_FLIGHT; i++) {
		struct model_group *g = &model.group[i];
		any = any || g->request;
		if (g->request && (all || model_below(8) == 0))
			model_test_recv(g);
	}
	return any;
}

static bool model_ended(void)
{
	for (int tag = 0; tag < MODEL_TAGS; tag++)
		if (model.sent[tag] < MODEL_MESSAGES || model.received[tag] < MODEL_MESSAGES)
			return false;
	return true;
}

static void model_run(uint64_t seed, const char *settings)
{
	uint64_t deadline = now_ms() + LIMIT_MS;

	model.random = seed;
	model_fill();
	pair_open(settings, &pair);
	while (!model_ended()) {
		size_t dice = model_below(10);
		if (dice < 5)
			model_send();
		else if (dice < 7)
			model_recv();
		else
			(void)model_test(dice == 9);
		if (now_ms() > deadline)
			fail_msg("seed %llu with '%s' stands still", (unsigned long long)seed,
				settings);
	}
	while (model_test(true) && now_ms() < deadline)
		;
	if (model_test(true))
		fail_msg("seed %llu with '%s' does not end", (unsigned long long)seed, settings);
	pair_close(&pair);
	model_free();
}

static void random_runs_agree_with_the_rule(void **state)
{
	static const char *const settings[] = { "", "LINA_EARLY_BYTES=0", "LINA_EARLY_BYTES=3000",
		"LINA_LANES=3", "LINA_LANES=2 LINA_EARLY_BYTES=7000" };

	(void)state;
	for (uint64_t seed = 1; seed <= 40; seed++)
		model_run(seed, settings[seed % (sizeof(settings) / sizeof(*settings))]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_runs_agree_with_the_rule),
	};

	return cmocka_run_group_tests_name("match_random", tests, NULL, NULL);
}
