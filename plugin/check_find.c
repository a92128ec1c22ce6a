#include "plugin/check_find.h"

#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Appends to why what the loader said. */
static void why_add(char *why, size_t room)
{
	size_t used = strlen(why);

	(void)snprintf(why + used, room - used, "%s%s", used ? "; " : "", dlerror());
}

static void path_of(void *library, const char *name, struct check_found *found_p)
{
	struct link_map *map = NULL;

	if (dlinfo(library, RTLD_DI_LINKMAP, &map) != 0 || !map ||
		!realpath(map->l_name, found_p->path))
		(void)snprintf(found_p->path, sizeof(found_p->path), "%s", name);
	(void)snprintf(found_p->name, sizeof(found_p->name), "%s", name);
}

static int try_plugin(const char *name, struct check_found *found_p, char *why, size_t room)
{
	void *library = dlopen(name, RTLD_NOW | RTLD_LOCAL);

	if (!library) {
		why_add(why, room);
		return -ENOENT;
	}
	path_of(library, name, found_p);
	(void)dlclose(library);
	return 0;
}

int check_find_plugin(const char *env, struct check_found *found_p, char *why, size_t room)
{
	char name[PATH_MAX];

	why[0] = '\0';
	if (!env || !env[0])
		return try_plugin("libnccl-net.so", found_p, why, room);
	if (try_plugin(env, found_p, why, room) == 0)
		return 0;
	(void)snprintf(name, sizeof(name), "libnccl-net-%s.so", env);
	return try_plugin(name, found_p, why, room);
}

int check_find_nccl(
	const char *library, struct check_found *found_p, int *version_p, char *why, size_t room)
{
	const char *name = library ? library : "libnccl.so.2";
	int version = 0;
	union {
		void *symbol;
		int (*call)(int *version);
	} get;

	why[0] = '\0';
	void *nccl = dlopen(name, RTLD_NOW | RTLD_LOCAL);
	if (!nccl) {
		why_add(why, room);
		return -ENOENT;
	}
	get.symbol = dlsym(nccl, "ncclGetVersion");
	int err = get.symbol && get.call(&version) == 0 ? 0 : -ENOENT;
	if (err)
		(void)snprintf(why, room, "%s has no ncclGetVersion that works", name);
	path_of(nccl, name, found_p);
	(void)dlclose(nccl);
	if (!err)
		*version_p = version;
	return err;
}

int check_nccl_abi(int nccl_version)
{
	static const struct {
		int from; /* the first release that looks for it */
		int abi;
	} rows[] = { { 23000, 12 }, { 22800, 11 }, { 22600, 10 }, { 22400, 9 }, { 22000, 8 } };

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (nccl_version >= rows[i].from)
			return rows[i].abi;
	return 0;
}
