/*
 * Which NCCL and which plugin a job started from here would get: the names that NCCL tries, in its
 * order, through the same dynamic loader.
 */
#ifndef LINA_PLUGIN_CHECK_FIND_H
#define LINA_PLUGIN_CHECK_FIND_H

#include <limits.h>
#include <stddef.h>

struct check_found {
	char path[PATH_MAX]; /* as the loader resolved it */
	char name[PATH_MAX]; /* that found it */
};

/* Looks as NCCL does (2.20 to 2.30: openPluginLib in src/plugin/plugin_open.cc): what
 * NCCL_NET_PLUGIN says, as it is and then as libnccl-net-NAME.so; not set: libnccl-net.so. env: its
 * value, or NULL. -ENOENT: no such library; *why (room bytes) gets the loader's words for each name
 * it tried. */
int check_find_plugin(const char *env, struct check_found *found_p, char *why, size_t room);

/* library: a path, or NULL for the loader's own libnccl.so.2. *version_p: as ncclGetVersion says,
 * 22907 for 2.29.7. -ENOENT: there is none, or it is no NCCL; why as above. */
int check_find_nccl(
	const char *library, struct check_found *found_p, int *version_p, char *why, size_t room);

/* The version of the net ABI that an NCCL takes from a plugin that has 8 to 12; 0: it takes none of
 * these. */
int check_nccl_abi(int nccl_version);

#endif
