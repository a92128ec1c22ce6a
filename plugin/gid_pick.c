#include "plugin/gid_pick.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plugin/log.h"

enum { IPV4_BITS = 96 }; /* of an IPv6 address before the IPv4 address in it */
static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };

static int range_bad(const char *text)
{
	lina_warn("LINA_RDMA_RANGE or NCCL_IB_ADDR_RANGE=%s: must be ADDRESS/BITS, as in "
		  "10.0.0.0/8 or fd00::/64",
		text);
	return -EINVAL;
}

static int range_read(const char *text, struct lina_gid_wish *wish)
{
	char address[INET6_ADDRSTRLEN];
	const char *slash = strchr(text, '/');
	size_t len = slash ? (size_t)(slash - text) : 0;

	if (!len || len >= sizeof(address))
		return range_bad(text);
	memcpy(address, text, len);
	address[len] = '\0';
	char *end;
	long bits = strtol(slash + 1, &end, 10);
	bool v6 = strchr(address, ':') != NULL;
	if (end == slash + 1 || *end || bits < 0 || bits > (v6 ? 128 : 32))
		return range_bad(text);
	memcpy(wish->prefix, mapped, sizeof(mapped));
	if (inet_pton(v6 ? AF_INET6 : AF_INET, address, wish->prefix + (v6 ? 0 : 12)) != 1)
		return range_bad(text);
	wish->prefix_bits = (int)bits + (v6 ? 0 : IPV4_BITS);
	return 0;
}

int lina_gid_wish_read(const struct lina_config *config, struct lina_gid_wish *wish_p)
{
	struct lina_gid_wish wish = { .index = config->gid_index,
		.roce_version = config->roce_version,
		.family = strcmp(config->rdma_family, "AF_INET6") == 0 ? AF_INET6 : AF_INET };

	int err = config->rdma_range[0] ? range_read(config->rdma_range, &wish) : 0;
	if (!err)
		*wish_p = wish;
	return err;
}

static bool in_prefix(const uint8_t *gid, const uint8_t *prefix, int bits)
{
	int whole = bits / 8, rest = bits % 8;

	if (memcmp(gid, prefix, (size_t)whole) != 0)
		return false;
	return rest == 0 || ((gid[whole] ^ prefix[whole]) >> (8 - rest)) == 0;
}

static bool is_usable(const struct ibv_gid_entry *e)
{
	static const uint8_t none[16];

	return memcmp(e->gid.raw, none, sizeof(none)) != 0;
}

static int worth(const struct lina_gid_wish *wish, const struct ibv_gid_entry *e)
{
	const uint8_t *gid = e->gid.raw;
	bool v4 = memcmp(gid, mapped, sizeof(mapped)) == 0;
	bool link_local = gid[0] == 0xfe && (gid[1] & 0xc0) == 0x80;
	uint32_t type = wish->roce_version == 2 ? IBV_GID_TYPE_ROCE_V2 : IBV_GID_TYPE_ROCE_V1;

	return in_prefix(gid, wish->prefix, wish->prefix_bits) << 3 | (e->gid_type == type) << 2 |
	       (v4 == (wish->family == AF_INET)) << 1 | !link_local;
}

int lina_gid_pick(
	const struct lina_gid_wish *wish, const struct ibv_gid_entry *entries, int n, int *entry_p)
{
	int best = -1;

	for (int i = 0; i < n; i++) {
		const struct ibv_gid_entry *e = &entries[i];
		if (wish->index >= 0 && e->gid_index != (uint32_t)wish->index)
			continue;
		if (is_usable(e) && (best < 0 || worth(wish, e) > worth(wish, &entries[best])))
			best = i;
	}
	if (best < 0)
		return -ENOENT;
	*entry_p = best;
	return 0;
}
