/*
 * Which of a RoCE port's addresses to use. Pure.
 */
#ifndef LINA_PLUGIN_GID_PICK_H
#define LINA_PLUGIN_GID_PICK_H

#include <infiniband/verbs.h>
#include <stdint.h>

#include "plugin/config.h"

struct lina_gid_wish {
	int index;        /* >= 0: this entry of the table and no other */
	int roce_version; /* 1 or 2 */
	int family;       /* AF_INET or AF_INET6 */
	uint8_t prefix[16];
	int prefix_bits; /* of a gid, which has an IPv4 address behind 96 bits; 0: any */
};

/* -EINVAL (logged): a range that is no "ADDRESS/BITS". */
int lina_gid_wish_read(const struct lina_config *config, struct lina_gid_wish *wish_p);

/* The entry, of n at entries, that has most of what is wished, where an earlier wish outweighs all
 * later ones: in the range, of the version, of the family, with an address that can be routed; of
 * equal ones the first. An IPv4 address has no RoCE of an unknown kind. -ENOENT: none that is
 * usable, or no entry of the index that is asked for. */
int lina_gid_pick(
	const struct lina_gid_wish *wish, const struct ibv_gid_entry *entries, int n, int *entry_p);

#endif
