#include "collectives/cuda_packing.h"

#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "collectives/error.h"

/* Found once, it stays. */
static const struct lina_cuda_packing *found;

/* The file beside the one that this code is in; false: nobody knows which that is. */
static bool path_beside(char *path, size_t room)
{
	static const char here;
	const char *slash;
	Dl_info info;

	if (dladdr(&here, &info) == 0 || info.dli_fname == NULL)
		return false;
	slash = strrchr(info.dli_fname, '/');
	if (slash == NULL)
		return false;
	int n = snprintf(path, room, "%.*s/%s", (int)(slash - info.dli_fname), info.dli_fname,
		LINA_CUDA_LIBRARY);
	return n > 0 && (size_t)n < room;
}

static void *open_library(void)
{
	char path[PATH_MAX];
	bool beside = path_beside(path, sizeof(path)) && access(path, F_OK) == 0;

	/* What is there and cannot be opened is what the error must say. */
	return dlopen(beside ? path : LINA_CUDA_LIBRARY, RTLD_NOW | RTLD_LOCAL);
}

int lina_cuda_packing_get(const struct lina_cuda_packing **packing_p)
{
	const struct lina_cuda_packing *packing = __atomic_load_n(&found, __ATOMIC_ACQUIRE);

	if (packing == NULL) {
		void *library = open_library();
		if (library == NULL)
			return lina_fail(-ENOTSUP, "LINA_PACKING_CUDA: %s", dlerror());
		packing = dlsym(library, LINA_CUDA_SYMBOL);
		if (packing == NULL)
			return lina_fail(-ENOTSUP, "LINA_PACKING_CUDA: %s", dlerror());
		__atomic_store_n(&found, packing, __ATOMIC_RELEASE);
	}
	*packing_p = packing;
	return 0;
}
