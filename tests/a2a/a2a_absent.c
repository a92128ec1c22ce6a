/* A rank that lives does not come: the others get an error in bounded time, which names it where
 * that is known, and can take everything down. */
#include "a2a/a2a_check.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collectives/lina_sparse.h"

enum { LIMIT_MS = 400, PATIENCE_S = 30, ABSENT = 1, EXPERTS = 8, ELEMENTS = 1000 };

struct absent {
	struct test *test;
	ncclComm_t comm;
	bool here; /* comes */
	struct lina_plan *plan;
	struct lina_a2a_settings settings;
	struct lina_a2a *a2a;
	struct routed routed;
	char who[32]; /* "rank 1" */
};

/* Says ABSENT, and no other. */
static void need_absence(struct absent *x, const char *what, int err, const char *says)
{
	need_error(what, err, -ETIMEDOUT, says);
	printf("%s said: %s\n", what, lina_last_error());
	(void)x;
}

static void absent_open(struct absent *x, struct test *test, const char *name, uint32_t bound)
{
	*x = (struct absent){ .test = test, .here = test->job.rank != ABSENT };
	snprintf(x->who, sizeof(x->who), "no word of rank %d within", ABSENT);
	ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
	config.blocking = !test->nonblocking;
	NCCL(job_try_comm_config(&test->job, name, &config, &x->comm));
	x->plan = check_plan(test->job.nranks, 16);
	x->settings = check_settings(x->plan, 64, ncclFloat32, 2);
	x->settings.bound = bound;
	x->settings.depth = 1;
	routed_open(&x->routed, &test->job, 17, &check_shape);
}

/* All exchange something first, so that NCCL has its connections. */
static void absent_begin(struct absent *x)
{
	lina_wait_limit_ms(LINA_WAIT_LIMIT_MS);
	LINA(lina_a2a_create(x->comm, &x->settings, &x->a2a));
	routed_run(&x->routed, x->a2a, x->test->stream, 0);
	lina_wait_limit_ms(LIMIT_MS);
}

/* Those who waited have their error; only now does the absent rank do anything. */
static void absent_close(struct absent *x, const char *name)
{
	job_barrier(&x->test->job, name);
	NCCL(ncclCommAbort(x->comm));
	CUDA(cudaStreamSynchronize(x->test->stream));
	lina_a2a_destroy(x->a2a);
	routed_close(&x->routed);
	lina_plan_destroy(x->plan);
	lina_wait_limit_ms(LINA_WAIT_LIMIT_MS);
}

static void at_dispatch(struct test *test)
{
	struct absent x;
	struct lina_batch *batch;

	absent_open(&x, test, "absent.dispatch", 0);
	absent_begin(&x);
	struct lina_tokens tokens = routed_tokens(&x.routed);
	if (x.here) {
		need_absence(&x, "dispatch",
			lina_a2a_dispatch(x.a2a, &tokens, test->stream, &batch), x.who);
		need_absence(&x, "the next dispatch",
			lina_a2a_dispatch(x.a2a, &tokens, test->stream, &batch), "before");
	}
	absent_close(&x, "absent.dispatch.end");
}

/* Nothing waits but for the place of the batch before, and the table. */
static void at_bound(struct test *test, bool table)
{
	const char *name = table ? "absent.table" : "absent.bound";
	struct absent x;
	struct lina_batch *batch;
	char end[64];

	absent_open(&x, test, name, 2 * CHECK_TOKENS);
	absent_begin(&x);
	struct lina_tokens tokens = routed_tokens(&x.routed);
	if (x.here) {
		LINA(lina_a2a_dispatch(x.a2a, &tokens, test->stream, &batch));
		if (table && lina_a2a_table_next(x.a2a) != NULL)
			FAIL("there is a table");
		if (table)
			need_absence(&x, "table_next", -ETIMEDOUT, x.who);
		lina_a2a_release(batch, test->stream);
		need_absence(&x, name, lina_a2a_dispatch(x.a2a, &tokens, test->stream, &batch),
			table ? "before" : x.who);
	}
	snprintf(end, sizeof(end), "%s.end", name);
	absent_close(&x, end);
}

/* All came to the dispatch, one does not combine. */
static void at_combine(struct test *test)
{
	struct absent x;
	struct lina_batch *batch;

	absent_open(&x, test, "absent.combine", 2 * CHECK_TOKENS);
	absent_begin(&x);
	struct lina_tokens tokens = routed_tokens(&x.routed);
	LINA(lina_a2a_dispatch(x.a2a, &tokens, test->stream, &batch));
	CUDA(cudaStreamSynchronize(test->stream));
	if (x.here) {
		LINA(lina_a2a_combine(batch, batch->rows, x.routed.out, test->stream));
		need_absence(&x, "after combine",
			lina_a2a_dispatch(x.a2a, &tokens, test->stream, &batch), "all ranks came");
	}
	absent_close(&x, "absent.combine.end");
}

/* What is destroyed too early leaves its memory to the stream. */
static void at_destroy(struct test *test)
{
	struct absent x;
	struct lina_batch *batch;

	absent_open(&x, test, "absent.destroy", 2 * CHECK_TOKENS);
	absent_begin(&x);
	struct lina_tokens tokens = routed_tokens(&x.routed);
	if (x.here) {
		LINA(lina_a2a_dispatch(x.a2a, &tokens, test->stream, &batch));
		lina_a2a_release(batch, test->stream);
		lina_a2a_destroy(x.a2a);
		need_absence(&x, "destroy", -ETIMEDOUT, x.who);
		x.a2a = NULL;
	}
	absent_close(&x, "absent.destroy.end");
}

/* With a communicator that does not block the ranks have never met before. */
static void at_create(struct test *test)
{
	struct absent x;
	struct lina_a2a *other = NULL;

	absent_open(&x, test, "absent.create", 0);
	if (test->nonblocking)
		lina_wait_limit_ms(LIMIT_MS);
	else
		absent_begin(&x);
	if (x.here) {
		need_absence(&x, "create", lina_a2a_create(x.comm, &x.settings, &other),
			test->nonblocking ? "no word of rank" : x.who);
		if (other == NULL)
			FAIL("nothing to destroy");
	}
	absent_close(&x, "absent.create.end");
	lina_a2a_destroy(other);
}

/* ---- experts on their way -------------------------------------------------------------------- */

struct experts {
	struct lina_plan *owners, *moved, *placed;
	void *at[EXPERTS];
	struct lina_sparse *sparse;
};

static void experts_open(struct experts *e, struct absent *x)
{
	struct lina_sparse_settings settings;

	e->owners = check_turned(x->test->job.nranks, EXPERTS, 0, false);
	e->moved = check_turned(x->test->job.nranks, EXPERTS, 1, false);
	e->placed = check_turned(x->test->job.nranks, EXPERTS, 0, true);
	for (int i = 0; i < EXPERTS; i++) {
		CUDA(cudaMalloc(&e->at[i], ELEMENTS * sizeof(float)));
		memset(e->at[i], 0, ELEMENTS * sizeof(float));
	}
	lina_sparse_settings_default(&settings);
	settings.elements = ELEMENTS;
	LINA(lina_sparse_create(x->comm, e->owners, e->placed, 0, &settings, &e->sparse));
}

static void experts_close(struct experts *e)
{
	for (int i = 0; i < EXPERTS; i++)
		CUDA(cudaFree(e->at[i]));
	lina_plan_destroy(e->placed);
	lina_plan_destroy(e->moved);
	lina_plan_destroy(e->owners);
}

static int move(struct experts *e, struct absent *x, const struct lina_plan *to)
{
	return lina_experts_move(
		x->comm, e->owners, to, 0, ELEMENTS * sizeof(float), e->at, e->at, x->test->stream);
}

static void at_sparse(struct test *test, bool destroy)
{
	const char *name = destroy ? "absent.sparse.destroy" : "absent.sparse";
	struct absent x;
	struct experts e;
	char end[64];

	absent_open(&x, test, name, 0);
	absent_begin(&x);
	experts_open(&e, &x);
	LINA(lina_sparse_all_gather(e.sparse, e.at, test->stream));
	LINA(lina_sparse_wait(e.sparse));
	if (x.here) {
		LINA(lina_sparse_all_gather(e.sparse, e.at, test->stream));
		if (destroy) {
			lina_sparse_destroy(e.sparse);
			e.sparse = NULL;
		}
		need_absence(&x, name, destroy ? -ETIMEDOUT : lina_sparse_wait(e.sparse),
			"has a rank not come?");
	}
	snprintf(end, sizeof(end), "%s.end", name);
	absent_close(&x, end);
	lina_sparse_destroy(e.sparse);
	experts_close(&e);
}

static void at_move(struct test *test)
{
	struct absent x;
	struct experts e;

	absent_open(&x, test, "absent.move", 0);
	absent_begin(&x);
	experts_open(&e, &x);
	LINA(move(&e, &x, e.moved));
	if (x.here)
		need_absence(&x, "moving experts", move(&e, &x, e.placed), "has a rank not come?");
	absent_close(&x, "absent.move.end");
	lina_sparse_destroy(e.sparse);
	experts_close(&e);
}

void run_absent(struct test *test)
{
	double end_s = job_now_s() + PATIENCE_S;

	at_create(test);
	at_dispatch(test);
	at_bound(test, false);
	at_bound(test, true);
	at_combine(test);
	at_destroy(test);
	at_sparse(test, false);
	at_sparse(test, true);
	at_move(test);
	if (job_now_s() > end_s)
		FAIL("it took longer than %d s", PATIENCE_S);
}
