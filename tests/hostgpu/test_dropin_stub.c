/* Names to link test_dropin with; it must never run on this. */
#include <stdlib.h>

int cudaGetDeviceCount(void);
int cudaMalloc(void);
int cudaMemcpy(void);
int cudaFree(void);

#define STUB(name)                                            \
	__attribute__((visibility("default"))) int name(void) \
	{                                                     \
		abort();                                      \
	}
STUB(cudaGetDeviceCount)
STUB(cudaMalloc)
STUB(cudaMemcpy)
STUB(cudaFree)
