/* What must be refused, and by whom: placements, settings and calls. */
#include "a2a/a2a_check.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "collectives/lina_sparse.h"

/* One rank's token chooses what is no expert; the next call is right again. */
static void refuse_expert(struct test *test, struct lina_a2a *a2a, bool bound)
{
	struct routed routed;
	struct lina_batch *batch = NULL;
	int guilty = test->job.nranks - 1;

	routed_open(&routed, &test->job, 3, &check_shape);
	struct lina_tokens tokens = routed_tokens(&routed);
	if (test->job.rank == guilty)
		routed.experts[17 * 2 + 1] = 8;
	int err = lina_a2a_dispatch(a2a, &tokens, test->stream, &batch);
	if (bound) {
		LINA(err);
		CUDA(cudaStreamSynchronize(test->stream));
		if (batch->slot_begin[batch->nslots] != 0)
			FAIL("tokens came");
		LINA(lina_a2a_combine(batch, batch->rows, routed.out, test->stream));
		CUDA(cudaStreamSynchronize(test->stream));
		err = lina_a2a_status(a2a);
	} else if (batch != NULL) {
		FAIL("a batch was made");
	}
	if (test->job.rank == guilty)
		need_error("no expert", err, -EINVAL, "token 17, choice 1: expert 8");
	else
		need_error("another rank has no expert", err, -ECANCELED, "refused the call");
	LINA(lina_a2a_status(a2a));
	routed.experts[17 * 2 + 1] = 0;
	routed_run(&routed, a2a, test->stream, 0);
	routed_close(&routed);
}

static void refuse_layer_and_size(struct test *test, struct lina_a2a *a2a)
{
	struct routed routed;
	struct lina_batch *batch;
	struct lina_tokens tokens;

	routed_open(&routed, &test->job, 4, &check_shape);
	tokens = routed_tokens(&routed);
	tokens.layer = 2;
	need_error("layer", lina_a2a_dispatch(a2a, &tokens, test->stream, &batch), -EINVAL,
		"layer 2 is not from 0 to 1");
	tokens.layer = 1;
	tokens.nchoices = 3;
	need_error("choices", lina_a2a_dispatch(a2a, &tokens, test->stream, &batch), -EINVAL,
		"60 tokens with 3 choices");
	routed_close(&routed);
}

/* More tokens than there is room for, also in what is noted of them for kernels. */
static void refuse_many(struct test *test, struct lina_a2a *a2a)
{
	struct routed_shape shape = check_shape;
	struct lina_batch *batch;
	struct routed routed;

	shape.n = (size_t)100 * CHECK_TOKENS;
	routed_open(&routed, &test->job, 4, &shape);
	struct lina_tokens tokens = routed_tokens(&routed);
	LINA(lina_a2a_dispatch(a2a, &tokens, test->stream, &batch));
	LINA(lina_a2a_combine(batch, batch->rows, routed.out, test->stream));
	CUDA(cudaStreamSynchronize(test->stream));
	need_error("bound", lina_a2a_status(a2a), -EINVAL, "6000 tokens with 2 choices");
	routed_close(&routed);
}

/* Where nothing waits, a batch of no tokens comes, with the experts of a layer if there is one. */
static void refuse_bound(struct test *test, struct lina_a2a *a2a, int layer)
{
	struct lina_batch *batch;
	struct routed routed;

	routed_open(&routed, &test->job, 4, &check_shape);
	struct lina_tokens tokens = routed_tokens(&routed);
	tokens.layer = layer;
	routed.experts[0] = -1;
	LINA(lina_a2a_dispatch(a2a, &tokens, test->stream, &batch));
	for (int s = 0; s < batch->nslots; s++)
		if (batch->expert == NULL ||
			(batch->expert[s] != LINA_SLOT_EMPTY && (layer > 1 || layer < 0)))
			FAIL("slot %d of layer %d has no expert to look at", s, layer);
	LINA(lina_a2a_combine(batch, batch->rows, routed.out, test->stream));
	CUDA(cudaStreamSynchronize(test->stream));
	need_error("bound", lina_a2a_status(a2a), -EINVAL,
		layer == 1 ? "expert -1 is not" : "is not from 0 to 1");
	routed_close(&routed);
}

static void refuse_calls(struct test *test)
{
	struct lina_plan *plan = check_plan(test->job.nranks, 6);
	struct lina_a2a_settings s = check_settings(plan, 64, ncclFloat32, 2);
	struct lina_a2a *a2a;

	LINA(lina_a2a_create(test->comm, &s, &a2a));
	refuse_expert(test, a2a, false);
	refuse_layer_and_size(test, a2a);
	lina_a2a_destroy(a2a);
	s.bound = 2 * CHECK_TOKENS;
	s.dedup = true;
	LINA(lina_a2a_create(test->comm, &s, &a2a));
	refuse_expert(test, a2a, true);
	refuse_many(test, a2a);
	for (int layer = -1; layer <= 2; layer++)
		if (layer != 0)
			refuse_bound(test, a2a, layer);
	lina_a2a_destroy(a2a);
	lina_plan_destroy(plan);
}

static void need_refusal(
	struct test *test, const struct lina_a2a_settings *s, int err, const char *says)
{
	struct lina_a2a *a2a = NULL;

	need_error("create", lina_a2a_create(test->comm, s, &a2a), err, says);
	if (a2a != NULL)
		FAIL("an object was made");
}

/* Placements that do not fit the communicator, or one another. */
static void refuse_placements(struct test *test)
{
	struct lina_plan *large = check_plan(test->job.nranks + 1, 7);
	struct lina_plan *right = check_plan(test->job.nranks, 7);
	struct lina_plan *other = check_plan(test->job.nranks, 8);
	struct lina_a2a_settings s = check_settings(large, 64, ncclFloat32, 2);
	char path[PATH_MAX];

	need_refusal(test, &s, -EINVAL, "devices, the communicator has");
	s.plan = test->job.rank == 1 ? other : right;
	if (test->job.nranks > 1)
		need_refusal(test, &s, -EINVAL, "has another placement");
	s.plan = right;
	s.hidden = test->job.rank == 1 ? 65 : 64;
	if (test->job.nranks > 1)
		need_refusal(test, &s, -EINVAL, "has other settings");
	s.hidden = 64;
	s.plan = NULL;
	snprintf(path, sizeof(path), "%s/nowhere", test->job.rendezvous_dir);
	s.table_path = path;
	need_refusal(test, &s, -EINVAL, "nowhere");
	/* One rank alone cannot go on: none does. */
	s.table_path = test->job.rank == 1 ? path : NULL;
	s.plan = test->job.rank == 1 ? NULL : right;
	if (test->job.nranks > 1)
		need_refusal(test, &s, test->job.rank == 1 ? -EINVAL : -ECANCELED,
			test->job.rank == 1 ? "nowhere" : "rank 1");
	s.plan = NULL;
	s.table_path = NULL;
	need_refusal(test, &s, -EINVAL, "one placement is wanted");
	lina_plan_destroy(other);
	lina_plan_destroy(right);
	lina_plan_destroy(large);
}

/* Sizes whose products a program cannot count. */
static void refuse_sizes(struct test *test)
{
	struct lina_plan *plan = check_plan(test->job.nranks, 7);
	const struct lina_a2a_settings right = check_settings(plan, 64, ncclFloat32, 2);
	const size_t hidden[] = { 0, (size_t)1 << 30, SIZE_MAX / 4 + 1, SIZE_MAX / 4 + 2,
		SIZE_MAX };
	struct lina_a2a_settings s;

	for (size_t i = 0; i < sizeof(hidden) / sizeof(*hidden); i++) {
		s = right;
		s.hidden = hidden[i];
		need_refusal(test, &s, -EINVAL, "make no token");
	}
	s = right;
	s.bound = UINT32_MAX;
	if (test->job.nranks > 1)
		need_refusal(test, &s, -EINVAL, "a bound of 4294967295 rows");
	s = right;
	s.hidden = (size_t)1 << 29;
	s.bound = UINT32_MAX / (uint32_t)test->job.nranks;
	s.max_tokens = 1;
	s.max_choices = INT32_MAX;
	need_refusal(test, &s, -EINVAL, "choices");
	lina_plan_destroy(plan);
}

/* Moves between devices that are no ranks, and of nothing. */
static void refuse_moves(struct test *test)
{
	struct lina_plan *right = check_plan(test->job.nranks, 7);
	struct lina_plan *large = check_plan(2 * test->job.nranks, 7);
	struct lina_plan *moved = check_plan(2 * test->job.nranks, 8);
	void *at[8] = { NULL };

	need_error("moves of more devices",
		lina_experts_move(test->comm, large, moved, 0, 64, at, at, test->stream), -EINVAL,
		"devices, the communicator has");
	need_error("moves of nothing",
		lina_experts_move(test->comm, right, right, 0, 0, at, at, test->stream), -EINVAL,
		"0 bytes");
	struct lina_sparse_settings settings;
	struct lina_sparse *sparse;
	lina_sparse_settings_default(&settings);
	settings.elements = SIZE_MAX / sizeof(float) + 1;
	need_error("experts that no memory holds",
		lina_sparse_create(test->comm, right, right, 0, &settings, &sparse), -EINVAL,
		"make no expert");
	lina_plan_destroy(moved);
	lina_plan_destroy(large);
	lina_plan_destroy(right);
}

/* Types that there are no sums of: dispatch takes them, combine says so. */
static void refuse_sums(struct test *test)
{
	struct lina_plan *plan = check_plan(test->job.nranks, 9);
	struct lina_a2a_settings s = check_settings(plan, 64, ncclInt32, 2);
	struct routed_shape shape = check_shape;
	struct lina_batch *batch;
	struct lina_a2a *a2a;
	struct routed routed;

	shape.type = ncclInt32;
	shape.weighted = false;
	LINA(lina_a2a_create(test->comm, &s, &a2a));
	routed_open(&routed, &test->job, 3, &shape);
	struct lina_tokens tokens = routed_tokens(&routed);
	LINA(lina_a2a_dispatch(a2a, &tokens, test->stream, &batch));
	need_error("combine", lina_a2a_combine(batch, batch->rows, routed.out, test->stream),
		-ENOTSUP, "no weighted sums");
	lina_a2a_release(batch, test->stream);
	CUDA(cudaStreamSynchronize(test->stream));
	routed_close(&routed);
	lina_a2a_destroy(a2a);
	lina_plan_destroy(plan);
}

/* Weights on one rank, where there is nothing to be weighed: all learn of it at once, since combine
 * would have one rank less. */
static void refuse_weights(struct test *test, uint32_t bound)
{
	struct lina_plan *plan = check_plan(test->job.nranks, 9);
	struct lina_a2a_settings s = check_settings(plan, 64, ncclInt32, 1);
	int guilty = test->job.nranks - 1;
	struct routed_shape shape = check_shape;
	struct lina_batch *batch;
	struct lina_a2a *a2a;
	struct routed routed;

	shape.type = ncclInt32;
	shape.nchoices = 1;
	shape.weighted = false;
	s.bound = bound;
	LINA(lina_a2a_create(test->comm, &s, &a2a));
	routed_open(&routed, &test->job, 3, &shape);
	struct lina_tokens tokens = routed_tokens(&routed);
	float weights[CHECK_TOKENS] = { 0 };
	if (test->job.rank == guilty)
		tokens.weights = weights;
	int err = lina_a2a_dispatch(a2a, &tokens, test->stream, &batch);
	if (bound) {
		LINA(err);
		LINA(lina_a2a_combine(batch, batch->rows, routed.out, test->stream));
		CUDA(cudaStreamSynchronize(test->stream));
		err = lina_a2a_status(a2a);
	}
	if (test->job.rank == guilty)
		need_error("weights", err, -ENOTSUP, "weights for elements");
	else
		need_error("another rank's weights", err, -ECANCELED, "refused the call");
	routed_run(&routed, a2a, test->stream, 0);
	routed_close(&routed);
	lina_a2a_destroy(a2a);
	lina_plan_destroy(plan);
}

/* Kernels that are not there, on all ranks or on one. */
static void refuse_packing(struct test *test)
{
	struct lina_plan *plan = check_plan(test->job.nranks, 10);
	struct lina_a2a_settings s = check_settings(plan, 64, ncclFloat32, 2);
	int guilty = test->job.nranks - 1;

	s.packing = LINA_PACKING_CUDA;
	need_refusal(test, &s, -ENOTSUP, "LINA_PACKING_CUDA");
	if (test->job.rank != guilty)
		s.packing = LINA_PACKING_HOST;
	need_refusal(test, &s, test->job.rank == guilty ? -ENOTSUP : -ECANCELED,
		test->job.rank == guilty ? "liblina-cuda.so.0" : "cannot take part");
	lina_plan_destroy(plan);
}

void run_refuse(struct test *test)
{
	if (check_packing == LINA_PACKING_HOST)
		refuse_packing(test);
	refuse_placements(test);
	refuse_calls(test);
	refuse_sizes(test);
	refuse_moves(test);
	refuse_sums(test);
	refuse_weights(test, 0);
	refuse_weights(test, CHECK_TOKENS);
	printf("all was refused that must be\n");
}
