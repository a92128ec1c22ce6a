/* What libnccl.so.2 holds beside NCCL: it brings the executor along, and fills gaps of the archive.
 */
#include "executor.h"
#include "runtime_driver.h"
#include "runtime_executor.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define API __attribute__((visibility("default")))

/* ---- the executor -------------------------------------------------------------------------- */

__attribute__((constructor)) static void executor_bring(void)
{
	static const struct hostgpu_executor executor = { executor_run, executor_pack };
	hostgpu_executor_set(&executor);
}

/* ---- the archive's weak stand-ins, which would win over the runtime's
 * -------------------------------- */

cudaError_t cudaGetDriverEntryPoint(
	const char *name, void **function_p, unsigned long long flags, int *found_p);
cudaError_t cudaStreamGetCaptureInfo_v2(cudaStream_t stream, enum cudaStreamCaptureStatus *status,
	unsigned long long *id, cudaGraph_t *graph, const cudaGraphNode_t **dependencies,
	size_t *count);
void cudaUserObjectCreate(void);
void cudaGraphRetainUserObject(void);
void cudaStreamUpdateCaptureDependencies(void);

API cudaError_t cudaGetDriverEntryPoint(
	const char *name, void **function_p, unsigned long long flags, int *found_p)
{
	(void)flags;
	return hostgpu_driver_entry(name, function_p, found_p);
}

API cudaError_t cudaStreamGetCaptureInfo_v2(cudaStream_t stream,
	enum cudaStreamCaptureStatus *status, unsigned long long *id, cudaGraph_t *graph,
	const cudaGraphNode_t **dependencies, size_t *count)
{
	return hostgpu_capture_info(stream, status, id, graph, dependencies, count);
}

API void cudaUserObjectCreate(void)
{
	hostgpu_missing("cudaUserObjectCreate");
}

API void cudaGraphRetainUserObject(void)
{
	hostgpu_missing("cudaGraphRetainUserObject");
}

API void cudaStreamUpdateCaptureDependencies(void)
{
	hostgpu_missing("cudaStreamUpdateCaptureDependencies");
}

/* ---- names that an older C library lacks (glibc < 2.38)
 * -------------------------------------------- */

long __isoc23_strtol(const char *text, char **end, int base);
long long __isoc23_strtoll(const char *text, char **end, int base);
unsigned long __isoc23_strtoul(const char *text, char **end, int base);
unsigned long long __isoc23_strtoull(const char *text, char **end, int base);
int __isoc23_sscanf(const char *text, const char *format, ...) __attribute__((format(scanf, 2, 3)));
int __isoc23_fscanf(FILE *file, const char *format, ...) __attribute__((format(scanf, 2, 3)));

long __isoc23_strtol(const char *text, char **end, int base)
{
	return strtol(text, end, base);
}

long long __isoc23_strtoll(const char *text, char **end, int base)
{
	return strtoll(text, end, base);
}

unsigned long __isoc23_strtoul(const char *text, char **end, int base)
{
	return strtoul(text, end, base);
}

unsigned long long __isoc23_strtoull(const char *text, char **end, int base)
{
	return strtoull(text, end, base);
}

int __isoc23_sscanf(const char *text, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	int fields = vsscanf(text, format, args);
	va_end(args);
	return fields;
}

int __isoc23_fscanf(FILE *file, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	int fields = vfscanf(file, format, args);
	va_end(args);
	return fields;
}
