/*
 * The receiving end, shared by verbs_recv.c and verbs_credit.c.
 */
#ifndef LINA_PLUGIN_VERBS_RECV_H
#define LINA_PLUGIN_VERBS_RECV_H

#include "plugin/verbs_conn.h"

/* Where one message goes. */
struct verbs_recv_buffer {
	uint64_t room;
	int tag;
	bool low_known, high_due, bulk;
	int nparts, ends; /* 0: not known; of the parts that are here */
	uint64_t message_bytes;
	uint64_t announced; /* to the link of each rail that was up */
	unsigned announced_rails;
	bool whole;
};

struct verbs_recv_request {
	struct lina_request base;
	bool used;
	uint64_t number;
	int n, left; /* buffers; without all of their message */
	struct verbs_recv_buffer buffer[LINA_RECVS_MAX];
};

struct verbs_recv_rail {
	uint64_t granted, got;             /* bulk in all */
	uint32_t ngrants;                  /* written, in this life of the rail */
	uint32_t until[VERBS_GRANT_CELLS]; /* completed when a cell's last write has */
};

struct verbs_receiver {
	struct verbs_conn conn;
	uint64_t next_number; /* of the next receive */
	uint64_t grant_bytes; /* bulk that may be granted ahead, of each rail */
	uint32_t need;        /* immediates that may come on a queue pair */
	uint32_t nrecvs;      /* of these, at most */
	uint64_t last_bytes;  /* of the message that came last; UINT64_MAX: none has */
	bool credits_due;     /* no rail was up to take them */
	unsigned incomplete;  /* receives without all of their messages */
	int tag;              /* of the newest receive, */
	unsigned alike;       /* and how many of the newest are alone and have it too */
	unsigned held;        /* of these the newest: their credit is not written yet
			       */
	struct verbs_recv_rail rail[VERBS_RAILS_MAX];
	struct verbs_recv_request request[VERBS_REQUESTS];
};

/* The first rail that is up has room for a write of control memory; i: that rail, or -1. */
bool verbs_control_room(const struct verbs_receiver *r, int i);

/* Of a receive that has just been made, where there was room: its credit is written, or held with
 * that of others until verbs_credits_tend. 0, or the connection's error. */
int verbs_credit_give(struct verbs_receiver *r, const struct verbs_recv_request *q);

/* To be called by each test of a receive that is not complete. */
int verbs_credits_tend(struct verbs_receiver *r);

/* Of all receives; a second copy does no harm. */
int verbs_credits_write(struct verbs_receiver *r);

/* Of rail i, which begins a new life, as it was last: that may have been lost with the one before.
 */
int verbs_grant_again(struct verbs_receiver *r, int i);

/* Bulk that has come makes room for more, which is granted when the link lets it and it is worth a
 * write. */
int verbs_grants_give(struct verbs_receiver *r);

/* To the sender, by two rails, as it may be one of them that cannot say so. Where there is no room
 * there is traffic, and with it one who looks after this end. */
int verbs_complete_say(struct verbs_receiver *r, const struct verbs_recv_request *q);

#endif
