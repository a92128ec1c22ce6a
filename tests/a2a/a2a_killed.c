/* A rank dies: the others get an error, in bounded time, and can take everything down. */
#include "a2a/a2a_check.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collectives/lina_sparse.h"

enum { LOSS_LIMIT_S = 30, EXPERTS = 8, ELEMENTS = 50000 };

/* From now on the launcher may kill. */
static void say_ready(struct test *test)
{
	char ready[JOB_NAME_BYTES];

	job_barrier(&test->job, "killed");
	snprintf(ready, sizeof(ready), "ready.%d", test->job.rank);
	job_tell(&test->job, ready, "", 0);
}

static void need_loss(const char *what, int err)
{
	if (err != -EIO)
		FAIL("%s: %s and no loss of a rank (%s)", what, strerror(-err), lina_last_error());
	printf("%s said: %s\n", what, lina_last_error());
}

void run_killed(struct test *test)
{
	struct lina_plan *plan = check_plan(test->job.nranks, 16);
	struct lina_a2a_settings s = check_settings(plan, 64, ncclFloat32, 2);
	double end_s = job_now_s() + LOSS_LIMIT_S;
	struct lina_batch *batch;
	struct lina_a2a *a2a;
	struct routed routed;
	int err = 0;

	LINA(lina_a2a_create(test->comm, &s, &a2a));
	routed_open(&routed, &test->job, 17, &check_shape);
	struct lina_tokens tokens = routed_tokens(&routed);
	routed_run(&routed, a2a, test->stream, 0);
	say_ready(test);
	while (!err && job_now_s() < end_s) {
		err = lina_a2a_dispatch(a2a, &tokens, test->stream, &batch);
		if (!err)
			err = lina_a2a_combine(batch, batch->rows, routed.out, test->stream);
	}
	need_loss("dispatch and combine", err);
	NCCL(ncclCommAbort(test->comm));
	CUDA(cudaStreamSynchronize(test->stream));
	lina_a2a_destroy(a2a);
	routed_close(&routed);
	lina_plan_destroy(plan);
	test->comm = NULL;
}

/* ---- experts on their way -------------------------------------------------------------------- */

struct killed {
	struct lina_plan *owners, *moved, *placed;
	void *expert[EXPERTS];
	ncclComm_t comm; /* of the moves */
	struct lina_sparse *sparse;
};

static int move_there_and_back(struct killed *k, struct test *test)
{
	size_t bytes = ELEMENTS * sizeof(float);
	int err = lina_experts_move(
		k->comm, k->owners, k->moved, 0, bytes, k->expert, k->expert, test->stream);

	return err ? err
		   : lina_experts_move(k->comm, k->moved, k->owners, 0, bytes, k->expert, k->expert,
			     test->stream);
}

static int share_and_sum(struct killed *k, struct test *test)
{
	int err = lina_sparse_all_gather(k->sparse, k->expert, test->stream);

	if (!err)
		err = lina_sparse_reduce_scatter(k->sparse, k->expert, test->stream);
	return err ? err : lina_sparse_wait(k->sparse);
}

static void killed_open(struct killed *k, struct test *test)
{
	struct lina_sparse_settings settings;

	k->owners = check_turned(test->job.nranks, EXPERTS, 0, false);
	k->moved = check_turned(test->job.nranks, EXPERTS, 1, false);
	k->placed = check_turned(test->job.nranks, EXPERTS, 0, true);
	for (int e = 0; e < EXPERTS; e++) {
		CUDA(cudaMalloc(&k->expert[e], ELEMENTS * sizeof(float)));
		memset(k->expert[e], 0, ELEMENTS * sizeof(float));
	}
	lina_sparse_settings_default(&settings);
	settings.elements = ELEMENTS;
	k->comm = job_comm(&test->job, "moves");
	LINA(lina_sparse_create(test->comm, k->owners, k->placed, 0, &settings, &k->sparse));
}

static void killed_close(struct killed *k, struct test *test)
{
	NCCL(ncclCommAbort(k->comm));
	NCCL(ncclCommAbort(test->comm));
	CUDA(cudaStreamSynchronize(test->stream));
	lina_sparse_destroy(k->sparse);
	for (int e = 0; e < EXPERTS; e++)
		CUDA(cudaFree(k->expert[e]));
	lina_plan_destroy(k->placed);
	lina_plan_destroy(k->moved);
	lina_plan_destroy(k->owners);
	test->comm = NULL;
}

/* Both kinds are under way in turns, so either may be the first to notice; then the other must. */
void run_killed_experts(struct test *test)
{
	struct killed k;
	int shared, moved = 0;

	killed_open(&k, test);
	LINA(share_and_sum(&k, test));
	LINA(move_there_and_back(&k, test));
	say_ready(test);
	double end_s = job_now_s() + LOSS_LIMIT_S;
	do {
		shared = share_and_sum(&k, test);
		if (!shared)
			moved = move_there_and_back(&k, test);
	} while (!shared && !moved && job_now_s() < end_s);
	if (shared)
		need_loss("sparse collectives", shared);
	else
		need_loss("moving experts", moved);
	if (job_now_s() > end_s)
		FAIL("it took longer than %d s", LOSS_LIMIT_S);
	killed_close(&k, test);
}
