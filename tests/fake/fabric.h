/*
 * RDMA devices in this process: a table of verbs (plugin/verbs.h) whose queue pairs, completions
 * and memory behave as those of reliable connections on real devices, and that fails on cue. A
 * program that links lina_fake_verbs gets this table from lina_verbs_load.
 *
 * Every device reaches every other, itself included. Bytes move, and completions come, when the
 * fabric is pumped: by fabric_pump, or by every poll of a completion queue where the settings say
 * so. Work of one queue pair is done in its order; queue pairs take turns, or are chosen by a seed.
 * No clock and no thread of its own: time-outs count attempts.
 *
 * Threads: any, both the table and the functions below.
 */
#ifndef LINA_TESTS_FAKE_FABRIC_H
#define LINA_TESTS_FAKE_FABRIC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "plugin/verbs.h"

enum { FABRIC_DEVICES_MAX = 80, FABRIC_GIDS = 8, FABRIC_PKEYS = 2, FABRIC_SGES_MAX = 8 };

struct fabric_settings {
	bool missing; /* lina_verbs_load finds no library */
	int ndevices; /* 0..FABRIC_DEVICES_MAX, fake0, fake1, ... */
	int nports;   /* of each; only the first carries anything */
	/* Where their directories are, as /sys/class/infiniband has them; NULL: nowhere. */
	const char *sysfs;
	/* If not NULL: changes what a device says of itself, or of a port, before anybody hears it.
	 * Must not call the fabric. */
	void (*device_tell)(int dev, struct ibv_device *device);
	void (*port_tell)(int dev, int port, struct ibv_port_attr *attr);
	/* The same of an entry of a port's addresses; one of zeros is none. */
	void (*gid_tell)(int dev, uint32_t index, union ibv_gid *gid);
	/* The same of what a device can do with those of its vendor; no vendor: it has no such
	 * call. */
	void (*ece_tell)(int dev, struct ibv_ece *ece);
	uint32_t speed_ex;   /* active_speed_ex */
	uint64_t port_speed; /* in units of 100 Mbit/s; 0: there is no such call */
	bool infiniband;     /* ports with a LID; else Ethernet, RoCE v1 and v2 in turn */
	bool manual;         /* only fabric_pump moves anything */
	uint64_t seed;       /* of who is next; 0: in turn */
	bool adaptive;       /* with a seed: writes of a queue pair reach memory in any order */
	/* What a device allows. */
	int max_qp, max_cq, max_mr, max_qp_wr, max_sge, max_cqe, max_inline;
	uint64_t max_locked_bytes; /* of all memory regions together: -ENOMEM beyond */
	int attempts;              /* for each of a queue pair's retries, until it is used up */
};

/* One device, pumped by polls, generous limits. */
struct fabric_settings fabric_defaults(void);

/* Starts anew: scripts are forgotten and counts are 0. Ends the program if something is live. */
void fabric_start(const struct fabric_settings *settings);

/* Does at most n pieces of work (0: until nothing moves). Returns how many it did. */
int fabric_pump(int n);

/* --- what there is, and what was done --- */

struct fabric_live {
	int lists, contexts, pds, mrs, cqs, qps;
	int events; /* taken and not acknowledged */
	uint64_t locked_bytes;
};
struct fabric_live fabric_live(void);
bool fabric_nothing_live(void);

struct fabric_counts {
	long calls; /* of the table, those that can fail */
	long posts, signaled, inlined, moved, reads, immediates;
	long polled;    /* completions given out */
	long fills;     /* calls of post_recv */
	long overruns;  /* completions that found their queue full: it is dead then */
	long misuses;   /* objects destroyed below what stands on them; work posted in a wrong state
			 */
	long rnr;       /* attempts that met no posted receive */
	long races;     /* adaptive: plain writes to where one before it, not yet done, goes too */
	uint64_t bytes; /* moved */
};
struct fabric_counts fabric_counts(void);

/* The work requests that were posted, oldest first; only the last FABRIC_POSTS_MAX are kept. */
enum { FABRIC_POSTS_MAX = 4096 };
struct fabric_post {
	int dev;
	uint32_t qp_num;
	uint8_t service_level, traffic_class; /* of the queue pair's path */
	bool is_global;
	uint16_t dlid;
	uint8_t sgid_index, mtu;
	uint32_t ece; /* the options that it and its peer agreed on */
	uint16_t pkey_index;
	enum ibv_wr_opcode opcode;
	uint32_t bytes;
	bool inlined, signaled;
};
/* Copies at most n of them, the newest, and returns how many. */
int fabric_posts(struct fabric_post *posts, int n);
void fabric_posts_forget(void);

/* --- what goes wrong --- */

/* The n-th call from now on (from 1) of this name (a member of struct lina_verbs; NULL: any that
 * makes, changes, reads or posts something) returns err. Calls that destroy do not fail. n = 0: no
 * call fails. */
void fabric_fail(const char *call, long n, int err);
/* Whether that call was reached, and its name. */
bool fabric_failed(void);
const char *fabric_failed_name(void);

/* The n-th work request that is done from now on ends with status, and its queue pair in the error
 * state, whether it had reached the peer (moved) or not. n = 0: none. */
void fabric_fail_work(long n, enum ibv_wc_status status, bool moved);
/* The n-th successful completion from now on is never seen. n = 0: none. */
void fabric_lose(long n);
/* The same, of those of sends alone, and of immediates alone. */
void fabric_lose_send(long n);
void fabric_lose_recv(long n);

/* Work of this queue pair is not done; of every second one of a device, for work out of order
 * across queue pairs. */
void fabric_hold(uint32_t qp_num, bool held);
void fabric_hold_half(int dev, bool held);

/* The port loses its link or gets it back, with the event. While it is down nothing that the device
 * sends or should receive arrives. */
void fabric_port(int dev, bool up);
/* An event of the port that changes nothing here. */
void fabric_tell(int dev, enum ibv_event_type type);
/* The device is gone: the event, its queue pairs in the error state; calls fail with -EIO, but
 * those that destroy. It does not come back. */
void fabric_remove(int dev);

/* Every completion queue, or queue pair, of the device fails, and nothing but the event says so:
 * there are no completions any more, or no work is done. */
void fabric_break_cqs(int dev);
void fabric_break_qps(int dev);

#endif
