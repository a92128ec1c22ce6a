/* What the scenarios of a2a_check share. */
#ifndef LINA_TESTS_A2A_A2A_CHECK_H
#define LINA_TESTS_A2A_A2A_CHECK_H

#include "a2a/routed.h"

enum { CHECK_TOKENS = 60 };

struct test {
	struct job job;
	ncclComm_t comm;
	cudaStream_t stream;
	bool nonblocking; /* communicators whose calls do not wait */
	int nworlds;
	uint64_t seed;
};

/* Who packs, in all scenarios: --packing. */
extern enum lina_packing check_packing;

/* Room for CHECK_TOKENS tokens; plan may be NULL. */
struct lina_a2a_settings check_settings(
	const struct lina_plan *plan, size_t hidden, int type, int max_choices);

/* 2 layers of 8 experts, and tokens that go with it: 64 floats, 2 choices. */
struct lina_plan *check_plan(int ndevices, uint64_t seed);
extern const struct routed_shape check_shape;

/* One layer of as many slots as experts on each device: expert e lies on device e + turn, or all
 * lie on every device. */
struct lina_plan *check_turned(int ndevices, int nexperts, int turn, bool all);

/* Fails unless err is the wanted one and lina_last_error() says this. */
void need_error(const char *what, int err, int wanted, const char *says);

void run_refuse(struct test *test);
void run_table(struct test *test);
void run_experts(struct test *test);

/* What the others come to know of a rank that does not come; 2 ranks or more. */
void run_absent(struct test *test);

/* With lina-launch --kill RANK:+MS: what the others come to know. */
void run_killed(struct test *test);
void run_killed_experts(struct test *test);

#endif
