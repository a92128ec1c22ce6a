/* The kernels of liblina-cuda.so.0 on a GPU, against the processor's packing, byte by byte. Where
 * there is no GPU that is skipped. */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

#include <cuda_runtime_api.h>

#include "a2a/cases.h"
#include "a2a/cuda/pack_case.h"
#include "collectives/cuda_packing.h"

enum { CASES = 300, SKIPPED = 77 };

struct gpu {
	const struct lina_cuda_packing *packing;
	cudaStream_t stream;
	struct pack_case *memory, *back;
};

static void must(int result, const char *what)
{
	if (result == (int)cudaSuccess)
		return;
	fprintf(stderr, "%s: %s\n", what, cudaGetErrorString((cudaError_t)result));
	exit(1);
}

static void put(const struct gpu *gpu, const struct pack_case *c)
{
	must((int)cudaMemcpyAsync(gpu->memory, c, sizeof(*c), cudaMemcpyHostToDevice, gpu->stream),
		"copy to the GPU");
}

static void compare(const struct gpu *gpu, const struct pack_case *expected, const char *what)
{
	must((int)cudaMemcpyAsync(gpu->back, gpu->memory, sizeof(*gpu->back),
		     cudaMemcpyDeviceToHost, gpu->stream),
		"copy back");
	must((int)cudaStreamSynchronize(gpu->stream), what);
	for (size_t i = 0; i < sizeof(expected->dst); i++)
		if (gpu->back->dst[i] != expected->dst[i]) {
			fprintf(stderr, "%s: byte %zu is %d, not %d\n", what, i, gpu->back->dst[i],
				expected->dst[i]);
			exit(1);
		}
}

static void run_case(const struct gpu *gpu, uint64_t *random)
{
	static struct pack_case c, expected;

	pack_case_make(&c, random);
	put(gpu, &c);
	struct lina_sum sum = pack_case_sum(&c, gpu->memory);
	must(gpu->packing->sum(&sum, PACK_CASE_ROWS, gpu->stream), "sum");
	pack_case_summed(&c, &expected);
	compare(gpu, &expected, "sum");
	put(gpu, &c);
	struct lina_add add = pack_case_add(&c, gpu->memory);
	must(gpu->packing->add(&add, gpu->stream), "add");
	pack_case_added(&c, &expected);
	compare(gpu, &expected, "add");
	c.row[0] = LINA_NO_ROW;
	put(gpu, &c);
	struct lina_gather gather = pack_case_gather(&c, gpu->memory);
	must(gpu->packing->gather(&gather, PACK_CASE_ROWS, gpu->stream), "gather");
	pack_case_gathered(&c, &expected);
	compare(gpu, &expected, "gather");
}

static const struct lina_cuda_packing *packing_of(const char *path)
{
	void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	const struct lina_cuda_packing *packing =
		library != NULL ? dlsym(library, LINA_CUDA_SYMBOL) : NULL;

	if (packing == NULL) {
		fprintf(stderr, "%s\n", dlerror());
		exit(1);
	}
	return packing;
}

/* Usage: test_pack_gpu MODULE */
int main(int argc, char **argv)
{
	struct gpu gpu = { .packing = packing_of(argc > 1 ? argv[1] : LINA_CUDA_LIBRARY) };
	uint64_t random = 1;
	void *memory;
	int ndevices = 0;
	cudaError_t result = cudaGetDeviceCount(&ndevices);

	if (result != cudaSuccess || ndevices == 0) {
		printf("skipped: no GPU (%s): the kernels were loaded and not run\n",
			cudaGetErrorString(result));
		return SKIPPED;
	}
	must((int)cudaStreamCreate(&gpu.stream), "cudaStreamCreate");
	must((int)cudaMalloc(&memory, sizeof(*gpu.memory)), "cudaMalloc");
	gpu.memory = memory;
	gpu.back = malloc(sizeof(*gpu.back));
	if (gpu.back == NULL)
		return 1;
	for (int i = 0; i < CASES; i++)
		run_case(&gpu, &random);
	printf("%d cases right\n", CASES);
	free(gpu.back);
	must((int)cudaFree(memory), "cudaFree");
	must((int)cudaStreamDestroy(gpu.stream), "cudaStreamDestroy");
	return 0;
}
