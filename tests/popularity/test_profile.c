/* Model files: what is written is read back, and what is wrong is said with its place. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collectives/profile.h"
#include "popularity/generated.h"

static const char good[] = "lina-profile 1\n"
			   "method paths\n"
			   "experts 4\n"
			   "length 2\n"
			   "kept 3\n"
			   "loads 1 5 0 0.10000000000000001 7\n"
			   "loads 3 1 2 3 4\n"
			   "path 3 total 15 after 0 3 next 2 10 1 4\n"
			   "path 3 total 9 after 3 next\n"
			   "end\n";

static void expect_round_trip(const char *text)
{
	struct lina_plan_text_fault fault = { 0 };
	struct lina_profile *profile;
	size_t bytes;
	char *out;

	if (lina_profile_decode(text, strlen(text), &profile, &fault))
		fail_msg("%d:%d: %s", fault.line, fault.column, fault.text);
	assert_int_equal(lina_profile_encode(profile, &out, &bytes), 0);
	assert_string_equal(out, text);
	assert_int_equal(bytes, strlen(out));
	free(out);
	lina_profile_destroy(profile);
}

static void what_is_written_is_read_back(void **state)
{
	(void)state;
	expect_round_trip(good);
	expect_round_trip("lina-profile 1\nmethod window\nexperts 2\nloads 0 1.5 2\nend\n");
}

static void a_model_predicts_as_before_it_was_written(void **state)
{
	const int layers[] = { 1, 3 }, experts[] = { 3, 0 };
	const struct lina_token_paths token = { 1, 2, 1, layers, experts };
	struct lina_plan_text_fault fault;
	struct lina_profile *profile;
	double shares[4] = { 0 };
	int known;

	(void)state;
	assert_int_equal(lina_profile_decode(good, strlen(good), &profile, &fault), 0);
	assert_int_equal(profile->counts->nlayers, 2);
	assert_int_equal(profile->layers[1], 3);
	/* The path "3" is known but nothing came next: the loads of layer 3 it is. */
	lina_paths_predict(profile->paths, &token, 1, 4, shares, &known);
	assert_int_equal(known, 1);
	assert_true(shares[3] == 0.4);
	lina_profile_destroy(profile);
}

static void expect_fault(const char *text, const char *expected)
{
	struct lina_plan_text_fault fault = { 0 };
	struct lina_profile *profile;
	char out[256];

	assert_int_equal(lina_profile_decode(text, strlen(text), &profile, &fault), -EINVAL);
	(void)snprintf(out, sizeof(out), "%d:%d: %s", fault.line, fault.column, fault.text);
	assert_string_equal(out, expected);
}

static void faults_have_a_place(void **state)
{
	(void)state;
	expect_fault("lina-profile 2\n", "1:14: expected a number from 1 to 1, not '2'");
	expect_fault("lina-profile 1\nmethod magic\n",
		"2:8: expected mean, window, decay or paths, not 'magic'");
	expect_fault("lina-profile 1\nmethod mean\nexperts 2\nloads 0 1 x\nend\n",
		"4:11: expected a load from 0 to 9007199254740992, not 'x'");
	expect_fault("lina-profile 1\nmethod mean\nexperts 2\nloads 3 1 1\nloads 2 1 1\nend\n",
		"5:7: expected a layer from 4 to 4095, not '2'");
	expect_fault("lina-profile 1\nmethod mean\nexperts 2\nloads 3 1 1\npath 3\nend\n",
		"5:1: expected 'loads LAYER LOAD...' or 'end', not 'path'");
	expect_fault("lina-profile 1\nmethod paths\nexperts 2\nlength 1\nkept 1\nloads 3 1 1\n"
		     "path 3 total 1 after 1 0 next 1 1\nend\n",
		"7:1: expected a path no longer than the header says, not 'path'");
	expect_fault("lina-profile 1\nmethod paths\nexperts 2\nlength 1\nkept 1\nloads 3 1 1\n"
		     "path 3 total 1 after 1 next 2 1\nend\n",
		"7:29: expected an expert from 0 to 1, not '2'");
	expect_fault("lina-profile 1\nmethod mean\nexperts 2\nloads 3 1 1\nend\nend\n",
		"6:1: expected nothing after 'end', not 'end'");
	expect_fault("lina-profile 1\nmethod mean\nexperts 2\nloads 3 1 1\n",
		"5:1: expected 'loads LAYER LOAD...' or 'end', but the text ends");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_written_is_read_back),
		cmocka_unit_test(a_model_predicts_as_before_it_was_written),
		cmocka_unit_test(faults_have_a_place),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
