#include "bench.h"

#include <string.h>

static const struct collective *collective_named(const char *name)
{
	for (int i = 0; i < ncollectives; i++)
		if (strcmp(collectives[i].name, name) == 0)
			return &collectives[i];
	FAIL("there is no collective %s", name);
}

static const struct value_type *type_float(void)
{
	for (int i = 0; i < value_ntypes; i++)
		if (value_types[i].nccl == ncclFloat32)
			return &value_types[i];
	FAIL("there is no float32");
}

void bench_open(struct bench *bench, const struct job *job, ncclComm_t comm)
{
	check_open(&bench->check, job, comm);
	bench->moved = pattern_create(type_float(), OP_NONE, bench->check.nranks, 2);
	bench->summed = pattern_create(type_float(), OP_SUM, bench->check.nranks, 2);
}

void bench_close(struct bench *bench)
{
	pattern_destroy(bench->moved);
	pattern_destroy(bench->summed);
	check_close(&bench->check);
}

ncclResult_t bench_try_launch(struct bench *bench, const char *name, size_t bytes)
{
	struct check_spec spec = { .collective = collective_named(name), .bytes = bytes };

	spec.pattern = spec.collective->reduces ? bench->summed : bench->moved;
	spec.op = ncclSum;
	return check_try_launch(&bench->check, &spec);
}

void bench_launch(struct bench *bench, const char *name, size_t bytes)
{
	NCCL(bench_try_launch(bench, name, bytes));
}

void bench_prove(struct bench *bench)
{
	bench_launch(bench, "allreduce", 40004);
	check_finish(&bench->check);
	bench_launch(bench, "alltoall-grouped", 40004);
	check_finish(&bench->check);
	if (bench->check.elements == 0)
		FAIL("nothing was compared");
}

void bench_prove_once(const struct job *job, ncclComm_t comm)
{
	struct bench bench;

	bench_open(&bench, job, comm);
	bench_prove(&bench);
	bench_close(&bench);
}
