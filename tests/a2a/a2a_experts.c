/* Experts on their way: sparse collectives, and from one placement to the next. */
#include "a2a/a2a_check.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collectives/lina_sparse.h"

enum { RUNS = 25, ELEMENTS = 30000 };

struct experts {
	int n;
	size_t elements;
	float **at; /* [n] this rank's memory of each expert, NULL where it has none */
};

static bool on(const struct lina_plan *plan, int e, int d)
{
	int n = plan->shape.slots_per_device;

	for (int s = d * n; s < (d + 1) * n; s++)
		if (lina_plan_experts(plan, 0)[s] == e)
			return true;
	return false;
}

static float parameter(int e, size_t i)
{
	return (float)((size_t)e * 1000 + i % 997);
}

/* On each device in one of the two plans; 0 everywhere. */
static void experts_open(struct experts *x, const struct test *test, const struct lina_plan *a,
	const struct lina_plan *b, size_t elements)
{
	*x = (struct experts){ a->shape.nexperts, elements, NULL };
	x->at = calloc((size_t)x->n, sizeof(*x->at));
	if (x->at == NULL)
		FAIL("no memory");
	for (int e = 0; e < x->n; e++) {
		void *made;
		if (!on(a, e, test->job.rank) && !on(b, e, test->job.rank))
			continue;
		CUDA(cudaMalloc(&made, elements * sizeof(float)));
		memset(made, 0, elements * sizeof(float));
		x->at[e] = made;
	}
}

static void experts_close(struct experts *x)
{
	for (int e = 0; e < x->n; e++)
		if (x->at[e] != NULL)
			CUDA(cudaFree(x->at[e]));
	free(x->at);
}

static void fill(struct experts *x, const struct lina_plan *plan, int rank)
{
	for (int e = 0; e < x->n; e++)
		for (size_t i = 0; on(plan, e, rank) && i < x->elements; i++)
			x->at[e][i] = parameter(e, i);
}

static void compare(const struct experts *x, float factor_of_holders, const struct lina_plan *plan,
	int rank, const char *what)
{
	for (int e = 0; e < x->n; e++)
		for (size_t i = 0; on(plan, e, rank) && i < x->elements; i++)
			if (x->at[e][i] != factor_of_holders * parameter(e, i))
				FAIL("%s: expert %d, element %zu is %g, not %g", what, e, i,
					(double)x->at[e][i],
					(double)(factor_of_holders * parameter(e, i)));
}

/* Each expert on one device. */
static struct lina_plan *owners_for(uint64_t *random, const struct lina_plan_shape *shape)
{
	struct lina_plan_shape wide = *shape;
	struct lina_plan *plan;

	wide.slots_per_device = shape->nexperts;
	LINA(lina_plan_create(&wide, &plan));
	for (int e = 0; e < wide.nexperts; e++) {
		int d = (int)case_below(random, (uint64_t)wide.ndevices);
		lina_plan_experts(plan, 0)[d * wide.nexperts + e] = e;
	}
	return plan;
}

static void check_sums(const struct experts *x, const struct lina_plan *owners,
	const struct lina_plan *placed, int rank)
{
	for (int e = 0; e < x->n; e++) {
		int n = 0;
		for (int d = 0; d < placed->shape.ndevices; d++)
			n += on(placed, e, d) || on(owners, e, d);
		for (size_t i = 0; on(owners, e, rank) && i < x->elements; i++)
			if (x->at[e][i] != (float)n * parameter(e, i))
				FAIL("sum of expert %d, element %zu is %g, not %d times %g", e, i,
					(double)x->at[e][i], n, (double)parameter(e, i));
	}
}

/* Who has the experts: one device each, by chance; the last device all; each device as many as any
 * other; all devices all. */
enum who { CHANCE, LAST, ALIKE, ALL };

static struct lina_plan *plan_of(const struct lina_plan_shape *shape, enum who who)
{
	struct lina_plan_shape wide = *shape;
	struct lina_plan *plan;

	wide.slots_per_device = shape->nexperts;
	LINA(lina_plan_create(&wide, &plan));
	for (int d = 0; d < wide.ndevices; d++)
		for (int e = 0; e < wide.nexperts; e++)
			if (who == ALL ||
				d == (who == LAST ? wide.ndevices - 1 : e % wide.ndevices))
				lina_plan_experts(plan, 0)[d * wide.nexperts + e] = e;
	return plan;
}

static struct lina_plan_shape shape_for(uint64_t *random, int nranks, enum who who)
{
	struct lina_plan_shape shape = case_shape(random, nranks, 1);

	if (who == ALIKE) {
		shape.devices_per_node = 1;
		shape.nexperts = nranks * (1 + (int)case_below(random, 3));
		shape.slots_per_device = shape.nexperts;
	}
	return shape;
}

static void share(struct test *test, uint64_t *random, enum who who)
{
	struct lina_plan_shape shape = shape_for(random, test->job.nranks, who);
	struct lina_plan *placed = who == CHANCE ? case_plan(random, &shape) : plan_of(&shape, ALL);
	struct lina_plan *owners =
		who == CHANCE ? owners_for(random, &shape) : plan_of(&shape, who);
	struct lina_sparse_settings settings;
	struct lina_sparse *sparse;
	struct experts x;

	lina_sparse_settings_default(&settings);
	settings.packing = check_packing;
	settings.elements = 1 + case_below(random, ELEMENTS);
	settings.tree_bytes = case_below(random, 2) ? 0 : ELEMENTS * 2;
	experts_open(&x, test, owners, placed, settings.elements);
	fill(&x, owners, test->job.rank);
	LINA(lina_sparse_create(test->comm, owners, placed, 0, &settings, &sparse));
	for (int twice = 0; twice < 2; twice++) {
		LINA(lina_sparse_all_gather(sparse, (void *const *)x.at, test->stream));
		CUDA(cudaStreamSynchronize(test->stream));
		compare(&x, 1, placed, test->job.rank, "all-gather");
		LINA(lina_sparse_reduce_scatter(sparse, (void *const *)x.at, test->stream));
		CUDA(cudaStreamSynchronize(test->stream));
		check_sums(&x, owners, placed, test->job.rank);
		fill(&x, owners, test->job.rank);
	}
	lina_sparse_destroy(sparse);
	experts_close(&x);
	lina_plan_destroy(owners);
	lina_plan_destroy(placed);
}

/* The slots of a device are the memory of its experts, before and after. */
static void move(struct test *test, uint64_t *random)
{
	struct lina_plan_shape shape = case_shape(random, test->job.nranks, 1);
	struct lina_plan *before = case_plan(random, &shape), *after = case_plan(random, &shape);
	size_t n = (size_t)shape.nexperts, elements = 1 + case_below(random, ELEMENTS);
	size_t bytes = elements * sizeof(float);
	int first = test->job.rank * shape.slots_per_device;
	void **from = calloc(n, sizeof(*from)), **to = calloc(n, sizeof(*to)), *slots;

	CUDA(cudaMalloc(&slots, (size_t)shape.slots_per_device * bytes));
	for (int s = 0; s < shape.slots_per_device; s++) {
		float *slot = (float *)slots + (size_t)s * elements;
		int e = lina_plan_experts(before, 0)[first + s];
		if (e >= 0)
			from[e] = slot;
		for (size_t i = 0; e >= 0 && i < elements; i++)
			slot[i] = parameter(e, i);
		if (lina_plan_experts(after, 0)[first + s] >= 0)
			to[lina_plan_experts(after, 0)[first + s]] = slot;
	}
	LINA(lina_experts_move(test->comm, before, after, 0, bytes, from, to, test->stream));
	for (int e = 0; e < shape.nexperts; e++)
		for (size_t i = 0; to[e] != NULL && i < elements; i++)
			if (((float *)to[e])[i] != parameter(e, i))
				FAIL("expert %d has not moved: element %zu is %g", e, i,
					(double)((float *)to[e])[i]);
	CUDA(cudaFree(slots));
	free(to);
	free(from);
	lina_plan_destroy(after);
	lina_plan_destroy(before);
}

/* An iteration as Hecate has it: parameters are gathered before the forward pass and again before
 * the backward pass, while the stream of other computation works; gradients go back while it works
 * on. */
static void overlap(struct test *test)
{
	uint64_t random = 77;
	struct lina_plan_shape shape = { 1, 8, test->job.nranks, 1, 8 };
	struct lina_plan *placed = case_plan(&random, &shape),
			 *owners = owners_for(&random, &shape);
	struct lina_sparse_settings settings;
	struct lina_sparse *sparse;
	struct experts parameters, gradients;
	cudaStream_t side;
	cudaEvent_t ready;

	lina_sparse_settings_default(&settings);
	settings.packing = check_packing;
	settings.elements = ELEMENTS;
	CUDA(cudaStreamCreateWithFlags(&side, cudaStreamNonBlocking));
	CUDA(cudaEventCreate(&ready));
	LINA(lina_sparse_create(test->comm, owners, placed, 0, &settings, &sparse));
	experts_open(&parameters, test, owners, placed, ELEMENTS);
	experts_open(&gradients, test, owners, placed, ELEMENTS);
	fill(&parameters, owners, test->job.rank);
	for (int pass = 0; pass < 2; pass++) {
		LINA(lina_sparse_all_gather(sparse, (void *const *)parameters.at, side));
		CUDA(cudaEventRecord(ready, side));
		/* Here attention runs on test->stream; then the experts wait for their parameters.
		 */
		CUDA(cudaStreamWaitEvent(test->stream, ready, 0));
		CUDA(cudaStreamSynchronize(test->stream));
		compare(&parameters, 1, placed, test->job.rank, "materialised");
		for (int e = 0; pass == 0 && e < shape.nexperts; e++)
			if (parameters.at[e] != NULL && !on(owners, e, test->job.rank))
				memset(parameters.at[e], 0, ELEMENTS * sizeof(float));
	}
	fill(&gradients, owners, test->job.rank);
	fill(&gradients, placed, test->job.rank);
	LINA(lina_sparse_reduce_scatter(sparse, (void *const *)gradients.at, side));
	CUDA(cudaStreamSynchronize(side));
	check_sums(&gradients, owners, placed, test->job.rank);
	lina_sparse_destroy(sparse);
	experts_close(&gradients);
	experts_close(&parameters);
	lina_plan_destroy(owners);
	lina_plan_destroy(placed);
	CUDA(cudaEventDestroy(ready));
	CUDA(cudaStreamDestroy(side));
}

/* Memory that is needed and not given: nobody sends anything, and the next call is right. */
static void refuse_null(struct test *test)
{
	struct lina_plan_shape shape = { 1, test->job.nranks, test->job.nranks, 1, 1 };
	struct lina_plan *owners = plan_of(&shape, ALIKE), *all = plan_of(&shape, ALL);
	size_t n = (size_t)shape.nexperts, bytes = 64 * sizeof(float);
	void **none = calloc(n, sizeof(*none));
	struct lina_sparse_settings settings;
	struct lina_sparse *sparse;
	struct experts x;

	if (none == NULL)
		FAIL("no memory");
	experts_open(&x, test, owners, all, 64);
	void *const *at = (void *const *)x.at;
	fill(&x, owners, test->job.rank);
	lina_sparse_settings_default(&settings);
	settings.packing = check_packing;
	settings.elements = 64;
	LINA(lina_sparse_create(test->comm, owners, all, 0, &settings, &sparse));
	if (test->job.nranks > 1) {
		need_error("all-gather", lina_sparse_all_gather(sparse, none, test->stream),
			-EINVAL, "no memory of expert");
		need_error("reduce-scatter", lina_sparse_reduce_scatter(sparse, none, test->stream),
			-EINVAL, "no memory of expert");
		need_error("from",
			lina_experts_move(
				test->comm, owners, all, 0, bytes, none, at, test->stream),
			-EINVAL, "is here, and it is not said where");
		need_error("to",
			lina_experts_move(
				test->comm, owners, all, 0, bytes, at, none, test->stream),
			-EINVAL, "comes here, and there is no memory for it");
		need_error("bytes",
			lina_experts_move(
				test->comm, owners, all, 0, SIZE_MAX / 2 + 2, at, at, test->stream),
			-ENOMEM, "no memory for");
	}
	/* One array for both, with memory of all experts: what is not here is not looked at. */
	LINA(lina_experts_move(test->comm, owners, all, 0, bytes, at, at, test->stream));
	compare(&x, 1, all, test->job.rank, "moved");
	lina_sparse_destroy(sparse);
	experts_close(&x);
	free(none);
	lina_plan_destroy(all);
	lina_plan_destroy(owners);
}

static void refuse(struct test *test)
{
	struct lina_plan *placed = check_plan(test->job.nranks, 1);
	struct lina_plan *large = check_plan(test->job.nranks + 1, 1);
	struct lina_sparse_settings settings;
	struct lina_sparse *sparse = NULL;

	lina_sparse_settings_default(&settings);
	settings.packing = check_packing;
	need_error("no elements",
		lina_sparse_create(test->comm, placed, placed, 0, &settings, &sparse), -EINVAL,
		"make no expert");
	settings.elements = 1;
	need_error("devices", lina_sparse_create(test->comm, large, large, 0, &settings, &sparse),
		-EINVAL, "the communicator has");
	need_error("layer", lina_sparse_create(test->comm, placed, placed, 2, &settings, &sparse),
		-EINVAL, "at layer 2");
	if (sparse != NULL)
		FAIL("an object was made");
	lina_plan_destroy(large);
	lina_plan_destroy(placed);
}

void run_experts(struct test *test)
{
	uint64_t random = test->seed;

	refuse(test);
	refuse_null(test);
	for (int i = 0; i < RUNS; i++) {
		share(test, &random, i % 5 == 0 ? LAST : i % 5 == 2 ? ALIKE : CHANCE);
		move(test, &random);
	}
	overlap(test);
	printf("%d times shared, summed and moved\n", RUNS);
}
