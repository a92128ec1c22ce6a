/*
 * The plugin's knobs: environment variables, read once. Each is one row of the table below; the
 * parser, its messages, struct lina_config and the README's table are made from the row.
 */
#ifndef LINA_PLUGIN_CONFIG_H
#define LINA_PLUGIN_CONFIG_H

#include <stddef.h>

enum { LINA_CONFIG_TEXT_BYTES = 4096, LINA_HOT_FIRST_TABLE = 2, LINA_ROUTING_INFINIBAND = 2 };

/* Whole numbers: field, variable, default, lowest, highest, unit, help. */
#define LINA_KNOBS_INT(X)                                                                    \
	X(lanes, "LINA_LANES", 1, 1, 16, "sockets",                                          \
		"TCP sockets that carry the data of a connection between two ranks; one "    \
		"more carries what its receiver says")                                       \
	X(early_bytes, "LINA_EARLY_BYTES", 4194304, 0, 67108864, "bytes",                    \
		"what a sender may send on one connection before the receives for it "       \
		"are posted; 0: nothing")                                                    \
	X(sndbuf_bytes, "LINA_SNDBUF_BYTES", 262144, 0, 67108864, "bytes",                   \
		"send buffer of a TCP socket: what the kernel holds of a lane, unsent or "   \
		"unacknowledged; 0: as the kernel tunes it")                                 \
	X(chunk_bytes, "LINA_CHUNK_BYTES", 0, 0, 1073741824, "bytes",                        \
		"micro-chunk: what bulk traffic sends at once while latency traffic "        \
		"comes; 0: from the link's speed")                                           \
	X(window_bytes, "LINA_WINDOW_BYTES", 0, 0, 1073741824, "bytes",                      \
		"bulk traffic of a link with the kernel, of all connections together, "      \
		"while latency traffic comes; 0: "                                           \
		"from the link's speed")                                                     \
	X(grant_bytes, "LINA_GRANT_BYTES", 1048576, 4096, 1073741824, "bytes",               \
		"bulk traffic that the receiver of a connection grants ahead")               \
	X(relax_ms, "LINA_RELAX_MS", 20, 0, 3600000, "ms",                                   \
		"how long bulk traffic is at work without latency traffic until it gets "    \
		"larger chunks and a larger window")                                         \
	X(hold_max_ms, "LINA_HOLD_MAX_MS", 100, 1, 3600000, "ms",                            \
		"how long bulk traffic may wait for latency traffic without sending")        \
	X(bulk_share_percent, "LINA_BULK_SHARE_PERCENT", 2, 0, 100, "percent",               \
		"of the link, that bulk traffic keeps while it waits")                       \
	X(hot_first, "LINA_HOT_FIRST", 2, 0, 2, "(off, on, with a table)",                   \
		"whether latency traffic to a peer has the more of the link the more of it " \
		"there is, as learned; 2: where LINA_PLACEMENT names a table")               \
	X(linger_us, "LINA_LINGER_US", 200, 0, 1000000, "us",                                \
		"how long bulk traffic waits for more after the last latency traffic")       \
	X(stats, "LINA_STATS", 1, 0, 1, "(off, on)",                                         \
		"counters in shared memory, which lina-top shows while the job runs")        \
	X(pump, "LINA_PUMP", 1, 0, 1, "(off, on)",                                           \
		"TCP: a thread for each link, which sends what was kept back when it may "   \
		"go and NCCL's threads are late")                                            \
	X(share, "LINA_SHARE", 1, 0, 1, "yes or no",                                         \
		"whether processes of one host and user tell each other, through shared "    \
		"memory, what they have to do on a link they share")                         \
	X(connect_timeout_ms, "LINA_CONNECT_TIMEOUT_MS", 30000, 100, 3600000, "ms",          \
		"how long it may take to reach the peer's host and its listener, and for "   \
		"both ends to agree; a peer that is there and comes late is waited for")     \
	X(merge, "LINA_MERGE", 0, 0, 1, "(off, on)",                                         \
		"RDMA: make the chosen ports, at most 4, rails of one device; off: as NCCL " \
		"merges them")                                                               \
	X(rail_retry_ms, "LINA_RAIL_RETRY_MS", 1000, 10, 3600000, "ms",                      \
		"RDMA: how long after a rail broke, or could not be used again, it is "      \
		"tried again")                                                               \
	X(peer_timeout_ms, "LINA_PEER_TIMEOUT_MS", 30000, 1000, 3600000, "ms",               \
		"how long a host may stay silent, with not even its kernel answering, "      \
		"before its connections fail; RDMA: also how long a completion or, of "      \
		"several rails, the first to come back may take")

/* Whole numbers for which one of NCCL's variables stands in where ours is not set: field, variable,
 * NCCL's, default, lowest, highest, unit, help. */
#define LINA_KNOBS_STAND_IN(X)                                                                     \
	X(no_rdma, "LINA_NO_RDMA", "NCCL_IB_DISABLE", 0, 0, 1, "(off, on)",                        \
		"whether RDMA devices are left alone unless LINA_TRANSPORT asks for them by name") \
	X(gid_index, "LINA_GID_INDEX", "NCCL_IB_GID_INDEX", -1, -1, 255, "(index)",                \
		"RoCE: the entry of a port's table of addresses to use; -1: the best one there "   \
		"is")                                                                              \
	X(flid_gid_index, "LINA_FLID_GID_INDEX", "NCCL_IB_ROUTABLE_FLID_GID_INDEX", 1, 0, 255,     \
		"(index)",                                                                         \
		"InfiniBand: the entry of a port's table of addresses that has what routers "      \
		"between subnets know it by (FLID), where there is one")                           \
	X(adaptive_routing, "LINA_ADAPTIVE_ROUTING", "NCCL_IB_ADAPTIVE_ROUTING",                   \
		LINA_ROUTING_INFINIBAND, 0, 2, "(off, on, on InfiniBand)",                         \
		"RDMA: whether the network routes each packet its own way; what is larger than "   \
		"LINA_ADAPTIVE_BYTES then goes ahead of its immediate, with which it could not "   \
		"be")                                                                              \
	X(adaptive_bytes, "LINA_ADAPTIVE_BYTES", "NCCL_IB_AR_THRESHOLD", 8192, 0, 2147483647,      \
		"bytes", "RDMA: see LINA_ADAPTIVE_ROUTING")                                        \
	X(ece, "LINA_ECE", "NCCL_IB_ECE_ENABLE", 1, 0, 1, "(off, on)",                             \
		"RDMA: whether devices of one vendor may agree on more than the standard has, "    \
		"as selective repeat")                                                             \
	X(qps, "LINA_QPS", "NCCL_IB_QPS_PER_CONNECTION", 1, 1, 128, "rails",                       \
		"RDMA: rails of a connection on each port, each with queue pairs of its own, "     \
		"which a network that hashes flows may send different ways; a connection has at "  \
		"most 4 in all")                                                                   \
	X(pci_order, "LINA_PCI_ORDER", "NCCL_IB_DEVICE_PCI_ORDER", 1, 0, 1, "(off, on)",           \
		"RDMA: number devices by their place on PCI, which is the same on all hosts; "     \
		"off: as libibverbs lists them")                                                   \
	X(merge_vfs, "LINA_MERGE_VFS", "NCCL_IB_MERGE_VFS", 1, 0, 1, "(off, on)",                  \
		"RDMA: whether virtual functions count as ports of the card that they are part "   \
		"of")                                                                              \
	X(merge_nics, "LINA_MERGE_NICS", "NCCL_IB_MERGE_NICS", 1, 0, 1, "(off, on)",               \
		"RDMA: whether NCCL may merge ports into one device")                              \
	X(roce_version, "LINA_ROCE_VERSION", "NCCL_IB_ROCE_VERSION_NUM", 2, 1, 2, "(version)",     \
		"RoCE: the version whose addresses are preferred")                                 \
	X(pkey_index, "LINA_PKEY_INDEX", "NCCL_IB_PKEY", 0, 0, 65535, "(index)",                   \
		"InfiniBand: the entry of a port's table of partition keys to use")                \
	X(qp_timeout, "LINA_QP_TIMEOUT", "NCCL_IB_TIMEOUT", 18, 1, 31, "(exponent)",               \
		"RDMA: a queue pair sends again what is not acknowledged after 4.096 us x 2^this") \
	X(qp_retries, "LINA_QP_RETRIES", "NCCL_IB_RETRY_CNT", 7, 0, 7, "times",                    \
		"RDMA: how often it does so before the rail counts as broken")                     \
	X(latency_sl, "LINA_LATENCY_SL", "NCCL_IB_SL", -1, -1, 15, "(level)",                      \
		"InfiniBand: service level of latency traffic; -1: the communicator's traffic "    \
		"class, or 0")                                                                     \
	X(bulk_sl, "LINA_BULK_SL", "NCCL_IB_SL", -1, -1, 15, "(level)",                            \
		"InfiniBand: service level of bulk traffic; -1: the same")                         \
	X(latency_tc, "LINA_LATENCY_TC", "NCCL_IB_TC", -1, -1, 255, "(class)",                     \
		"RoCE: traffic class (the IP header's) of latency traffic; -1: the "               \
		"communicator's, or 0")                                                            \
	X(bulk_tc, "LINA_BULK_TC", "NCCL_IB_TC", -1, -1, 255, "(class)",                           \
		"RoCE: traffic class of bulk traffic; -1: the same")                               \
	X(relaxed_ordering, "LINA_RELAXED_ORDERING", "NCCL_IB_PCI_RELAXED_ORDERING", 2, 0, 2,      \
		"(off, on, where offered)",                                                        \
		"RDMA: whether data may reach memory out of order, which PCI then does faster")

/* Text: field, variable, NCCL's variable that holds where ours is not set ("" = there is none),
 * choices ("" = any text; else separated by spaces), help. The default is no text. */
#define LINA_KNOBS_TEXT(X)                                                                     \
	X(transport, "LINA_TRANSPORT", "", "auto verbs tcp",                                   \
		"what carries the data: RDMA (`verbs`), sockets (`tcp`), or RDMA where there " \
		"is any (`auto`, also where not set)")                                         \
	X(hca, "LINA_HCA", "NCCL_IB_HCA", "",                                                  \
		"RDMA devices to use: name prefixes, each with `:PORT:RAIL:PLANE` or the "     \
		"beginning of it if need be, separated by commas; `^` in front excludes "      \
		"them, `=` asks for the exact names")                                          \
	X(rdma_family, "LINA_RDMA_FAMILY", "NCCL_IB_ADDR_FAMILY", "AF_INET AF_INET6",          \
		"RoCE: address family that is preferred; AF_INET where not set")               \
	X(rdma_range, "LINA_RDMA_RANGE", "NCCL_IB_ADDR_RANGE", "",                             \
		"RoCE: `ADDRESS/BITS` that addresses should lie in")                           \
	X(ifname, "LINA_IFNAME", "NCCL_SOCKET_IFNAME", "",                                     \
		"interfaces to use: name prefixes separated by commas; `^` in front excludes " \
		"them, `=` asks for the exact names")                                          \
	X(socket_family, "LINA_SOCKET_FAMILY", "NCCL_SOCKET_FAMILY", "AF_INET AF_INET6",       \
		"address family to use; both where not set")                                   \
	X(classes, "LINA_CLASSES", "", "",                                                     \
		"the class of what is sent: rules KEY=CLASS separated by commas, the first "   \
		"that fits decides; KEY is an operation (`alltoall`, `allreduce`, ...), "      \
		"`comm:PATTERN` (a communicator's name, with `*` and `?`), `traffic:NUMBER` "  \
		"(its traffic class) or `all`; CLASS is `latency` or `bulk`")                  \
	X(placement, "LINA_PLACEMENT", "", "",                                                 \
		"placement table (of lina-plan) that says which peers of an all-to-all are "   \
		"hot, until that is learned")                                                  \
	X(trace, "LINA_TRACE", "", "",                                                         \
		"file for a timeline that Perfetto opens; `%p` in it becomes the process's "   \
		"number and `%h` the host's name, without either `.HOST.PID` is added")        \
	X(metrics, "LINA_METRICS", "", "",                                                     \
		"file for the counters in Prometheus's text format, rewritten every 2 s; "     \
		"named as `LINA_TRACE`")

struct lina_config {
#define LINA_KNOB_FIELD(field, ...) int field;
	LINA_KNOBS_INT(LINA_KNOB_FIELD)
	LINA_KNOBS_STAND_IN(LINA_KNOB_FIELD)
#undef LINA_KNOB_FIELD
#define LINA_KNOB_FIELD(field, ...) char field[LINA_CONFIG_TEXT_BYTES];
	LINA_KNOBS_TEXT(LINA_KNOB_FIELD)
#undef LINA_KNOB_FIELD
};

enum lina_knob_kind { LINA_KNOB_INT, LINA_KNOB_TEXT };

/* A row as data, for messages and documentation. */
struct lina_knob {
	const char *name;
	enum lina_knob_kind kind;
	size_t offset; /* in struct lina_config */
	const char *help;
	int initial, lowest, highest; /* LINA_KNOB_INT */
	const char *unit;             /* LINA_KNOB_INT */
	const char *stand_in;         /* NCCL's variable, or "" */
	const char *choices;          /* LINA_KNOB_TEXT */
};

/* All rows; *nknobs_p is their number. */
const struct lina_knob *lina_config_knobs(size_t *nknobs_p);

/* Reads env, a NULL-terminated list of "NAME=value" such as environ; *config_p is written only on
 * success. A variable without a value counts as not set. A LINA_ variable that nobody knows is
 * warned of, with the closest name there is; a bad value of one of NCCL's variables is warned of
 * and left out. -EINVAL: a bad value of one of ours, or a text that is too long of either's (logged
 * with its name, value and range). */
int lina_config_read(char *const *env, struct lina_config *config_p);

#endif
