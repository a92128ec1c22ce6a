/* Records of all formats: what they say, and where a file is wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "popularity/generated.h"

/* All records as text, so that a test says in one string what it expects. */
static char *shown(const char *bytes, size_t n, const struct lina_records_options *options)
{
	struct memory m = { .bytes = bytes, .n = n, .piece = 5, .fail_at = SIZE_MAX };
	struct lina_records *records = records_of(&m, options);
	struct lina_plan_text_fault fault;
	struct lina_record r;
	size_t size;
	char *out;
	FILE *f = open_memstream(&out, &size);
	int got;

	assert_non_null(f);
	while ((got = lina_records_next(records, &r, &fault)) == 1) {
		if (r.has_step)
			(void)fprintf(f, "s%d ", (int)r.step);
		if (r.kind == LINA_RECORD_COUNT)
			(void)fprintf(f, "%d:%d=%g\n", r.layer, r.expert, r.tokens);
		else if (r.kind == LINA_RECORD_TRANSITION)
			(void)fprintf(f, "%d:%d>%d:%d=%g\n", r.layer, r.expert, r.next_layer,
				r.next_expert, r.tokens);
		for (int t = 0; r.kind == LINA_RECORD_TOKENS && t < r.ntokens; t++)
			for (int l = 0; l < r.nlayers; l++)
				for (int k = 0; k < r.topk; k++)
					(void)fprintf(f, "%s%d%s",
						k   ? "+"
						: l ? " "
						: t ? "/"
						    : "",
						*r.experts++,
						t + 1 == r.ntokens && l + 1 == r.nlayers &&
								k + 1 == r.topk
							? "\n"
							: "");
	}
	assert_int_equal(fclose(f), 0);
	if (got)
		fail_msg("%d:%d: %s", fault.line, fault.column, fault.text);
	lina_records_destroy(records);
	return out;
}

static void expect_bytes(const char *bytes, size_t n, const char *expected)
{
	const struct lina_records_options options = { 0 };
	char *out = shown(bytes, n, &options);

	assert_string_equal(out, expected);
	free(out);
}

static void expect(const char *text, const char *expected)
{
	expect_bytes(text, strlen(text), expected);
}

/* That the records end with this error, "line:column: text". */
static void expect_fault_of(
	const char *bytes, size_t n, enum lina_records_format format, const char *expected)
{
	struct memory m = { .bytes = bytes, .n = n, .piece = 3, .fail_at = SIZE_MAX };
	const struct lina_records_options options = { .format = format };
	struct lina_plan_text_fault fault = { 0 };
	struct lina_records *records;
	struct lina_input *in;
	struct lina_record r;
	char out[256];
	int got;

	assert_int_equal(lina_input_create(memory_read, &m, &in, &fault), 0);
	got = lina_records_create(in, &options, &records, &fault);
	if (!got) {
		do
			got = lina_records_next(records, &r, &fault);
		while (got == 1);
		assert_int_equal(lina_records_next(records, &r, &fault), got);
		lina_records_destroy(records);
	}
	assert_int_equal(got, -EINVAL);
	(void)snprintf(out, sizeof(out), "%d:%d: %s", fault.line, fault.column, fault.text);
	assert_string_equal(out, expected);
}

static void expect_fault(const char *text, const char *expected)
{
	expect_fault_of(text, strlen(text), LINA_RECORDS_AUTO, expected);
}

/* --- csv --- */

static void csv_loads(void **state)
{
	(void)state;
	expect("layer,expert,count\n0,3,17\n1,0,2.5\n", "0:3=17\n1:0=2.5\n");
	expect("layer_slot,expert,count\r\n0,3,17\r\n", "0:3=17\n");
	expect("# a comment\n\nstep, count ,other,expert,layer\n4,1e3,x y,2,0\n", "s4 0:2=1000\n");
	expect("0,3,17\n1,0,2", "0:3=17\n1:0=2\n");
}

static void csv_transitions(void **state)
{
	(void)state;
	expect("layer,source,destination,count\n0,3,1,17\n", "0:3>1:1=17\n");
	expect("0,3,1,17\n", "0:3>1:1=17\n");
	expect("src_layer,dst_layer,src_expert,dst_expert,count\n0,2,1,5,8\n", "0:1>2:5=8\n");
}

static void csv_paths(void **state)
{
	(void)state;
	expect("layer0,layer1,layer_5\n1,2,3\n4,5,-1\n", "1 2 3\n4 5 -1\n");
	expect("step,layer2,layer3\n1,0 7,3 4\n2,5;6,7;8\n", "s1 0+7 3+4\ns2 5+6 7+8\n");
	expect("layer0\n1\n", "1\n");
}

static void csv_of_one_value_only(void **state)
{
	const char *text =
		"task,layer,expert,token_score,gate_score\nlaw,1,0,0.25,9\nlawn,1,0,1,9\n"
		"code,1,0,0.5,9\nlaw,1,1,0.75,9\n";
	const struct lina_records_options options = { .only_column = "task", .only_value = "law" };
	char *out = shown(text, strlen(text), &options);

	(void)state;
	assert_string_equal(out, "1:0=0.25\n1:1=0.75\n");
	free(out);
}

static void a_byte_order_mark_is_passed_over(void **state)
{
	(void)state;
	expect("\xef\xbb\xbflayer,expert,count\r\n0,1,5\r\n", "0:1=5\n");
	expect("\xef\xbb\xbf[[1,2]]", "0:0=1\n0:1=2\n");
	expect("\xef\xbb\xbf"
	       "0,1,5\n",
		"0:1=5\n");
	expect_fault("\xef\xbb\xbf", "1:1: expected records, but the file is empty");
	expect_fault("\xef\xbb", "1:1: expected records: JSON lines of Megatron, a NumPy array, "
				 "JSON counts, or CSV with a line of column names");
}

static void csv_faults(void **state)
{
	(void)state;
	expect_fault("layer,expert,count\n0,1,5\n0,x,5\n",
		"3:3: expected an expert from 0 to 16383, not 'x'");
	expect_fault("layer,expert,count\n0,1,-5\n",
		"2:5: expected a count from 0 to 9007199254740992, not '-5'");
	expect_fault("layer,expert,count\n0,1,inf\n",
		"2:5: expected a count from 0 to 9007199254740992, not 'inf'");
	expect_fault("layer,expert,count\n0,1,1e308\n",
		"2:5: expected a count from 0 to 9007199254740992, not '1e308'");
	expect_fault("layer,expert,count\n4096,1,5\n",
		"2:1: expected a layer from 0 to 4095, not '4096'");
	expect_fault("layer,expert,count\n0,1\n", "2:4: expected 3 columns, but the line has 2");
	expect_fault("layer,expert,count\n0,1,2,3\n",
		"2:6: expected the end of the line after 3 columns");
	expect_fault("layer,expert\n0,1\n",
		"1:1: expected columns layer,expert,count or layer,source,destination,count or "
		"layer0,layer1,..., not 'layer,expert'");
	expect_fault("layer,expert,count,tokens\n0,1,2,2\n",
		"1:20: expected no second column of the same kind, not 'tokens'");
	expect_fault("layer1,layer0\n0,1\n",
		"1:8: expected columns of layers in ascending order, not 'layer0'");
	expect_fault("layer0,layer1\n0 1,2\n",
		"2:5: expected as many experts as in the other layers, not '2'");
	expect_fault("layer0,layer1\n0,\n", "2:3: expected an expert from -1 to 16383, not ''");
	expect_fault("src_layer,dst_layer,src_expert,dst_expert,count\n1,1,0,0,5\n",
		"2:1: expected a transition to a later layer, not from 1 to 1");
	expect_fault("1,2\n",
		"1:1: expected a line of column names, or 3 numbers (layer, expert, count) or 4 "
		"(layer, source, destination, count), not '1,2'");
}

/* --- counts --- */

static void counts_of_layers_and_of_steps(void **state)
{
	(void)state;
	expect("[[1,2],[3,4.5]]", "0:0=1\n0:1=2\n1:0=3\n1:1=4.5\n");
	expect(" [ [ [1, 2] , [3,4] ],\n [[5,6],[7,8]]]\n",
		"s0 0:0=1\ns0 0:1=2\ns0 1:0=3\ns0 1:1=4\ns1 0:0=5\ns1 0:1=6\ns1 1:0=7\ns1 1:1=8\n");
	expect("{\"rank\": 0, \"a]\\\"\": [[{}], \"]\", null], \"logical_count\": [[1,2]],"
	       " \"b\": {\"c\": [1]}}",
		"0:0=1\n0:1=2\n");
}

static void counts_faults(void **state)
{
	(void)state;
	expect_fault("[[1,2],\n [3,x]]", "2:5: invalid token near 'x'");
	expect_fault("[[1,2],\n [3,-4]]", "2:2: expected counts, numbers from 0 to "
					  "9007199254740992, but element 1 of this row is none");
	expect_fault("[[1,2],\n [3,1e300]]", "2:2: expected counts, numbers from 0 to "
					     "9007199254740992, but element 1 of this row is none");
	expect_fault("[[1,2],\n [3,4]", "2:7: expected ',' or ']', but the file ends");
	expect_fault("[[1,2],\n [[3,4]]]", "2:2: expected a row of counts, not '['");
	expect_fault("[[1,2]] x", "1:9: expected the end of the file, not 'x'");
	expect_fault("[1,2]", "1:1: expected an array of arrays of counts, not '['");
	expect_fault("[[[[1]]]]", "1:3: expected a row of counts, not '['");
	expect_fault("{\"a\": 1}", "1:9: expected a member \"logical_count\", but the file ends");
	expect_fault("{\"logical_count\": [[1]], \"logical_count\": [[1]]}",
		"1:43: expected no second \"logical_count\", not '['");
	expect_fault("{\"logical_count\": 5}", "1:19: expected '[', not '5'");
	expect_fault("{\"a\": }", "1:7: expected a value, not '}'");
	expect_fault("[[1,2", "1:2: expected the end of a row, but the file ends");
}

/* --- megatron --- */

static const char pass[] =
	"{\"step\":1,\"stage\":\"f\",\"block\":\"d\",\"layer\":2,\"rank\":0,\"num_tokens\":2,"
	"\"topk\":2,\"top_indices\":[[3,1],[0,2]]}\n"
	"{\"step\":1,\"layer\":2,\"rank\":1,\"num_tokens\":1,\"topk\":1,\"top_indices\":[[9]]}\n"
	"{\"step\":1,\"layer\":4,\"rank\":0,\"num_tokens\":2,\"topk\":2,"
	"\"top_indices\":[[5,6],[7,-1]]}\n"
	"{\"step\":2,\"layer\":4,\"rank\":0,\"num_tokens\":2,\"topk\":2,"
	"\"top_indices\":[[1,2],[3,4]]}\n"
	"\n"
	"{\"step\":1,\"layer\":3,\"rank\":1,\"num_tokens\":1,\"topk\":1,\"top_indices\":[[8]]}\n"
	"{\"step\":1,\"layer\":3,\"rank\":1,\"num_tokens\":1,\"topk\":1,\"top_indices\":[[7]]}\n";

static void megatron_lines(void **state)
{
	(void)state;
	expect(pass, "s1 3+1/0+2\ns1 9\ns1 5+6/7+-1\ns2 1+2/3+4\ns1 8\ns1 7\n");
}

static void megatron_layers_are_joined(void **state)
{
	const struct lina_records_options options = { .join = true };
	char *out = shown(pass, strlen(pass), &options);

	(void)state;
	assert_string_equal(out, "s1 3+1 5+6/0+2 7+-1\ns1 9 8\ns2 1+2/3+4\ns1 7\n");
	free(out);
}

static void megatron_faults(void **state)
{
	(void)state;
	expect_fault("{\"step\":1,\"layer\":-2,\"topk\":1}\n",
		"1:11: expected \"layer\": a whole number from 0 to 4095");
	expect_fault("{\"layer\":2,\"step\":1,\"num_tokens\":1,\"topk\":1}\n",
		"1:1: expected \"top_indices\": an array for each of 1 tokens");
	expect_fault("{\"layer\":2,\"step\":1,\"num_tokens\":1,\"topk\":2,\"top_indices\":[[1]]}\n",
		"1:45: expected \"top_indices\" with 2 experts for token 0, not 1");
	expect_fault("{\"layer\":2,\"step\":1,\"num_tokens\":1,\"topk\":1,"
		     "\"top_indices\":[[16384]]}\n",
		"1:45: expected \"top_indices\" with experts from 0 to 16383, or -1, for token 0");
	expect_fault("{\"layer\":2,\"step\":1,\"num_tokens\":0,\"topk\":1,\"top_indices\":[]}\n"
		     "{\"layer\":2,\n",
		"2:11: string or '}' expected near end of file");
}

/* --- vllm --- */

/* An array of version 1: its header, then data. */
static size_t npy(char *out, const char *descr, const char *shape, const void *data, size_t n)
{
	char header[128];
	int length = snprintf(header, sizeof(header),
		"{'descr': '%s', 'fortran_order': False, 'shape': %s, }\n", descr, shape);

	memcpy(out, "\x93NUMPY\x01\x00", 8);
	out[8] = (char)length;
	out[9] = 0;
	memcpy(out + 10, header, (size_t)length);
	memcpy(out + 10 + length, data, n);
	return 10 + (size_t)length + n;
}

static void vllm_arrays_of_all_widths(void **state)
{
	static const unsigned char bytes[] = { 1, 2, 3, 4, 5, 6, 7, 8 };
	static const int16_t shorts[] = { 1, -1, 3, 300 };
	static const unsigned char big[] = { 0, 0, 1, 2 };
	char out[512];

	(void)state;
	expect_bytes(out, npy(out, "|u1", "(2, 2, 2)", bytes, 8), "1+2 3+4/5+6 7+8\n");
	expect_bytes(out, npy(out, "<i2", "(2, 2)", shorts, 8), "1 -1/3 300\n");
	expect_bytes(out, npy(out, ">i4", "(1, 1, 1)", big, 4), "258\n");
	expect_bytes(out, npy(out, "<i8", "(0, 3, 2)", bytes, 0), "");
}

static void vllm_faults(void **state)
{
	static const int16_t shorts[] = { 1, 2, 3, -5 };
	char out[512];
	size_t n;

	(void)state;
	n = npy(out, "<i2", "(2, 2)", shorts, 8);
	expect_fault_of(out, n, LINA_RECORDS_AUTO,
		"0:0: token 1, layer 1, choice 0: expected an expert from 0 to 16383, or -1, not "
		"-5");
	expect_fault_of(out, n - 3, LINA_RECORDS_AUTO, "0:0: the file ends at token 1 of 2");
	expect_fault_of(out, 30, LINA_RECORDS_AUTO, "0:0: the file ends in its header");
	n = npy(out, "<i2", "(1, 2)", shorts, 8);
	expect_fault_of(out, n, LINA_RECORDS_AUTO,
		"0:0: expected the end of the file behind token 1, the last of the array");
	n = npy(out, "<f4", "(1, 2)", shorts, 8);
	expect_fault_of(out, n, LINA_RECORDS_AUTO,
		"0:0: expected an array of integers of 1, 2, 4 or 8 bytes, not '<f4'");
	n = npy(out, "<i2", "(4,)", shorts, 8);
	expect_fault_of(out, n, LINA_RECORDS_AUTO,
		"0:0: expected an array [tokens][layers][topk] or [tokens][layers]");
	n = npy(out, "<i2", "(1, 2, 300)", shorts, 8);
	expect_fault_of(out, n, LINA_RECORDS_AUTO,
		"0:0: expected 1 to 4096 layers and 1 to 256 experts of a token, not 2 and 300");
	out[6] = 9;
	expect_fault_of(
		out, n, LINA_RECORDS_AUTO, "0:0: expected a NumPy format of version 1 to 3, not 9");
}

static void nothing_that_is_known(void **state)
{
	(void)state;
	expect_fault("", "1:1: expected records, but the file is empty");
	expect_fault("hello\n",
		"1:1: expected records: JSON lines of Megatron, a NumPy array, JSON counts, or CSV "
		"with a line of column names");
	expect_fault_of("[[1]]", 5, LINA_RECORDS_VLLM,
		"0:0: expected a NumPy array, which begins with \\x93NUMPY");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(csv_loads),
		cmocka_unit_test(csv_transitions),
		cmocka_unit_test(csv_paths),
		cmocka_unit_test(csv_of_one_value_only),
		cmocka_unit_test(csv_faults),
		cmocka_unit_test(a_byte_order_mark_is_passed_over),
		cmocka_unit_test(counts_of_layers_and_of_steps),
		cmocka_unit_test(counts_faults),
		cmocka_unit_test(megatron_lines),
		cmocka_unit_test(megatron_layers_are_joined),
		cmocka_unit_test(megatron_faults),
		cmocka_unit_test(vllm_arrays_of_all_widths),
		cmocka_unit_test(vllm_faults),
		cmocka_unit_test(nothing_that_is_known),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
