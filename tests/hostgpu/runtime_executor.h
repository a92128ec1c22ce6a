#ifndef HOSTGPU_RUNTIME_EXECUTOR_H
#define HOSTGPU_RUNTIME_EXECUTOR_H

#include <stddef.h>

/*
 * Who runs kernels. libnccl.so.2 brings an executor for NCCL's kernels when it is loaded; a test
 * may bring its own. Without one, and for every kernel it does not know, a launch ends the process.
 */
struct hostgpu_executor {
	/* Runs a kernel to its end on the calling thread. kernel: mangled name; args: packed. */
	void (*run)(const char *kernel, const void *args);

	/* Bytes of packed arguments that the kernel takes as an array of pointers, or 0: not known.
	 * Where packed is not NULL the arguments are written there. */
	size_t (*pack)(const char *kernel, void *const *params, void *packed);
};

/* The executor stays the caller's and must outlive the process's last kernel. */
void hostgpu_executor_set(const struct hostgpu_executor *executor);

#endif
