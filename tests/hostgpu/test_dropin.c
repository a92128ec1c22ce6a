/*
 * A program that was linked with CUDA's own libcudart.so.12 or .13 (here: a stand-in with their
 * name and symbol versions, see CMakeLists.txt) runs on ours, and both names lead to one runtime.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

#include <cuda_runtime.h>

static int fail(const char *what)
{
	fprintf(stderr, "FAILED: %s\n", what);
	return 1;
}

int main(void)
{
	char host[64] = "hostgpu", back[64] = "";
	void *device = NULL;
	int count = 0;
	if (cudaGetDeviceCount(&count) || count != 1)
		return fail("device count");
	if (cudaMalloc(&device, sizeof host))
		return fail("cudaMalloc");
	if (cudaMemcpy(device, host, sizeof host, cudaMemcpyHostToDevice) ||
		cudaMemcpy(back, device, sizeof host, cudaMemcpyDeviceToHost) ||
		strcmp(back, host) != 0)
		return fail("cudaMemcpy");
	if (cudaFree(device))
		return fail("cudaFree");
	void *old = dlopen("libcudart.so.12", RTLD_NOW), *new = dlopen("libcudart.so.13", RTLD_NOW);
	if (!old || !new)
		return fail(dlerror());
	if (!dlsym(old, "cudaMalloc") || dlsym(old, "cudaMalloc") != dlsym(new, "cudaMalloc"))
		return fail("two runtimes");
	if (!dlvsym(old, "hostgpu_libcudart_12", "libcudart.so.12") ||
		!dlvsym(new, "hostgpu_libcudart_13", "libcudart.so.13"))
		return fail("symbol versions");
	return 0;
}
