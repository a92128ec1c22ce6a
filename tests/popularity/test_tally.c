/* Records added up: loads, transitions, and the memory that it takes whatever the size of a file.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collectives/records/tally.h"
#include "popularity/generated.h"

static struct lina_tally *tally_of(const char *text, bool transitions, bool join)
{
	struct memory m = { .bytes = text, .n = strlen(text), .fail_at = SIZE_MAX };
	const struct lina_records_options options = { .join = join };
	struct lina_records *records = records_of(&m, &options);
	struct lina_plan_text_fault fault;
	struct lina_tally *tally;
	struct lina_record record;

	assert_int_equal(lina_tally_create(transitions, &tally), 0);
	while (lina_records_next(records, &record, &fault) == 1)
		assert_int_equal(lina_tally_add(tally, &record), 0);
	lina_records_destroy(records);
	return tally;
}

static void expect_loads(
	const struct lina_tally *tally, int nlayers, int nexperts, const double *expected)
{
	struct lina_counts *counts;

	assert_int_equal(lina_tally_counts(tally, 0, &counts), 0);
	assert_int_equal(counts->nlayers, nlayers);
	assert_int_equal(counts->nexperts, nexperts);
	for (int i = 0; i < nlayers * nexperts; i++)
		assert_true(counts->tokens[i] == expected[i]);
	lina_counts_destroy(counts);
}

static void loads_of_layers_with_any_number(void **state)
{
	struct lina_tally *tally =
		tally_of("layer,expert,count\n7,1,4\n3,0,5\n7,1,1\n7,2,3\n", false, false);
	struct lina_counts *counts;
	int layers[LINA_LAYERS_MAX];

	(void)state;
	expect_loads(tally, 2, 3, (const double[]){ 5, 0, 0, 0, 5, 3 });
	assert_int_equal(lina_tally_layers(tally, layers), 2);
	assert_int_equal(layers[0], 3);
	assert_int_equal(layers[1], 7);
	assert_int_equal(lina_tally_counts(tally, 5, &counts), 0);
	assert_int_equal(counts->nexperts, 5);
	lina_counts_destroy(counts);
	lina_tally_clear(tally);
	expect_loads(tally, 2, 3, (const double[]){ 0, 0, 0, 0, 0, 0 });
	lina_tally_destroy(tally);
}

/* Of 2 tokens, the experts 0 and 1 and then 2; 0 and 2 and then 1 and 0. */
static void paths_give_loads_and_transitions(void **state)
{
	struct lina_tally *tally = tally_of("layer0,layer1\n0 1,2 -1\n0 2,1 0\n", true, false);
	static const double expected[] = { 0.5, 0.5, 1, 0, 0, 1, 0.5, 0.5, 0 };
	struct lina_transitions *t;

	(void)state;
	expect_loads(tally, 2, 3, (const double[]){ 2, 1, 1, 1, 1, 1 });
	assert_int_equal(lina_tally_transitions(tally, 0, &t), 0);
	assert_int_equal(t->npairs, 1);
	for (int i = 0; i < 9; i++)
		assert_true(t->tokens[i] == expected[i]);
	lina_transitions_destroy(t);
	lina_tally_destroy(tally);
}

static void transitions_imply_loads(void **state)
{
	struct lina_tally *tally =
		tally_of("layer,source,destination,count\n0,0,1,3\n0,1,1,4\n1,1,0,6\n1,0,17,1\n",
			true, false);
	struct lina_transitions *t;
	struct lina_counts *counts;

	(void)state;
	assert_int_equal(lina_tally_counts(tally, 0, &counts), 0);
	assert_true(lina_counts_layer(counts, 0)[0] == 3);
	assert_true(lina_counts_layer(counts, 0)[1] == 4);
	assert_true(lina_counts_layer(counts, 1)[1] == 6);
	assert_true(lina_counts_layer(counts, 1)[0] == 1);
	assert_true(lina_counts_layer(counts, 2)[0] == 6);
	assert_true(lina_counts_layer(counts, 2)[17] == 1);
	lina_counts_destroy(counts);
	assert_int_equal(lina_tally_transitions(tally, 0, &t), 0);
	assert_int_equal(t->npairs, 2);
	assert_int_equal(t->nexperts, 18);
	assert_true(lina_transitions_pair(t, 0)[1 * 18 + 1] == 4);
	assert_true(lina_transitions_pair(t, 1)[0 * 18 + 17] == 1);
	lina_transitions_destroy(t);
	lina_tally_destroy(tally);
}

static void layers_without_an_order_are_refused(void **state)
{
	struct lina_tally *tally = tally_of(
		"src_layer,dst_layer,src_expert,dst_expert,count\n0,2,0,0,1\n", true, false);
	const struct lina_record skips = {
		.kind = LINA_RECORD_TRANSITION, .layer = 0, .next_layer = 1, .tokens = 1
	};
	const struct lina_record load = { .kind = LINA_RECORD_COUNT, .layer = 1, .tokens = 1 };
	struct lina_transitions *t;

	(void)state;
	assert_int_equal(lina_tally_add(tally, &skips), -EDOM);
	assert_int_equal(lina_tally_add(tally, &load), 0);
	assert_int_equal(lina_tally_transitions(tally, 0, &t), -EDOM);
	lina_tally_destroy(tally);
	assert_int_equal(lina_tally_create(true, &tally), 0);
	assert_int_equal(lina_tally_transitions(tally, 0, &t), -ENODATA);
	lina_tally_destroy(tally);
}

/* --- memory --- */

/* Text that is made while it is read: the same piece over and over. */
struct endless {
	const char *head, *piece, *tail;
	size_t bytes, at; /* all together; given so far */
	size_t most;      /* memory in use at most, when it was asked for more */
};

static ssize_t endless_read(void *arg, void *bytes, size_t room)
{
	struct endless *e = arg;
	size_t nhead = strlen(e->head), npiece = strlen(e->piece);
	size_t used = mallinfo2().uordblks + mallinfo2().hblkhd;
	size_t n = room < e->bytes - e->at ? room : e->bytes - e->at;
	char *out = bytes;

	e->most = used > e->most ? used : e->most;
	for (size_t i = 0; i < n; i++) {
		size_t at = e->at + i;

		if (at < nhead)
			out[i] = e->head[at];
		else if (at >= e->bytes - strlen(e->tail))
			out[i] = e->tail[at + strlen(e->tail) - e->bytes];
		else
			out[i] = e->piece[(at - nhead) % npiece];
	}
	e->at += n;
	return (ssize_t)n;
}

/* Memory that reading a stream of so many bytes takes beyond what was in use before; how many
 * tokens came is checked against so many in a piece. */
static size_t memory_for(struct endless *e, bool join, double tokens_in_piece)
{
	const struct lina_records_options options = { .join = join };
	size_t before = mallinfo2().uordblks + mallinfo2().hblkhd;
	size_t pieces = (e->bytes - strlen(e->head) - strlen(e->tail)) / strlen(e->piece);
	struct lina_plan_text_fault fault;
	struct lina_records *records;
	struct lina_counts *counts;
	struct lina_tally *tally;
	struct lina_record record;
	struct lina_input *in;
	double sum = 0;
	int got;

	assert_int_equal(lina_input_create(endless_read, e, &in, &fault), 0);
	assert_int_equal(lina_records_create(in, &options, &records, &fault), 0);
	assert_int_equal(lina_tally_create(join, &tally), 0);
	while ((got = lina_records_next(records, &record, &fault)) == 1)
		assert_int_equal(lina_tally_add(tally, &record), 0);
	if (got)
		fail_msg("%d:%d: %s", fault.line, fault.column, fault.text);
	assert_int_equal(lina_tally_counts(tally, 0, &counts), 0);
	for (int l = 0; l < counts->nlayers; l++)
		sum += lina_counts_sum(counts, l);
	assert_true(sum == tokens_in_piece * (double)pieces);
	lina_counts_destroy(counts);
	lina_tally_destroy(tally);
	lina_records_destroy(records);
	return e->most > before ? e->most - before : 0;
}

/* A file 8 times as large takes no more memory, within what the headers promise. */
static void expect_bounded(const char *head, const char *piece, const char *tail, size_t pieces,
	size_t bound, bool join, double tokens_in_piece)
{
	size_t most[2];

	for (size_t i = 0; i < 2; i++) {
		struct endless e = { .head = head,
			.piece = piece,
			.tail = tail,
			.bytes = strlen(head) + (i ? 8 : 1) * pieces * strlen(piece) +
				 strlen(tail) };

		most[i] = memory_for(&e, join, tokens_in_piece);
		assert_true(most[i] > 0);
		if (most[i] > bound)
			fail_msg("%zu bytes of memory for %zu bytes of '%s'", most[i], e.bytes,
				head);
	}
	assert_true(most[1] <= most[0] + 4096);
}

static const size_t FIXED = (128 + 256 + 64) << 10; /* the input, the tally, what is small */

/* A sanitizer puts its own allocator in place of malloc, which keeps no books. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
static const bool counted = false;
#else
static const bool counted = true;
#endif

static void memory_does_not_grow_with_the_file(void **state)
{
	static const char line[] = "{\"step\":1,\"layer\":2,\"rank\":0,\"num_tokens\":2,\"topk\":2,"
				   "\"top_indices\":[[3,1],[0,2]]}\n";
	size_t json = FIXED + 24 * sizeof(line);

	(void)state;
	if (!counted) {
		print_message("not checked with a sanitizer: it counts no memory\n");
		skip();
	}
	expect_bounded("layer,expert,count\n", "0,3,17\n1,0,2\n", "", 15000, FIXED, false, 19);
	expect_bounded("layer0,layer1\n", "0 3,17 2\n", "", 15000, FIXED, false, 4);
	expect_bounded("{\"logical_count\": [[[0,0],[0,0]]", ",[[1,2],[3,4]]", "]}", 8000, FIXED,
		false, 10);
	expect_bounded("", line, "", 2000, json, false, 4);
	expect_bounded("", line, "", 2000, json, true, 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(loads_of_layers_with_any_number),
		cmocka_unit_test(paths_give_loads_and_transitions),
		cmocka_unit_test(transitions_imply_loads),
		cmocka_unit_test(layers_without_an_order_are_refused),
		cmocka_unit_test(memory_does_not_grow_with_the_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
