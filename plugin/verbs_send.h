/*
 * The sending end, shared by verbs_match.c and verbs_send.c.
 */
#ifndef LINA_PLUGIN_VERBS_SEND_H
#define LINA_PLUGIN_VERBS_SEND_H

#include "plugin/verbs_conn.h"

enum { VERBS_REPORT_MAX_BYTES = 256 << 10 }; /* of bulk, with one immediate */

enum verbs_send_state { VERBS_SEND_FREE, VERBS_SEND_WAITS, VERBS_SEND_MOVES, VERBS_SEND_DONE };

struct verbs_send_request;

/* What of a message goes on one rail. */
struct verbs_part {
	STAILQ_ENTRY(verbs_part) link; /* in moving, until its end is posted */
	struct verbs_send_request *request;
	int rail;
	uint64_t at, until; /* of the message: posted up to at */
	bool ended;         /* its end is posted */
	bool done;          /* and has completed */
};

/* Where one message may go. */
struct verbs_send_credit {
	TAILQ_ENTRY(verbs_send_credit) link;
	struct verbs_credit to;
	uint64_t number; /* of the receive */
	uint8_t slot, entry;
};

struct verbs_send_request {
	struct lina_request base;
	TAILQ_ENTRY(verbs_send_request) link; /* in waiting */
	enum verbs_send_state state;
	enum lina_class cls;
	const uint8_t *data;
	uint64_t bytes;
	int tag;
	const struct verbs_mr *mr; /* NULL: of no bytes */
	struct verbs_send_credit credit;
	bool begun; /* its size has been said ahead */
	int nparts, parts_left;
	struct verbs_part part[VERBS_RAILS_MAX];
};

STAILQ_HEAD(verbs_part_queue, verbs_part); /* only the first is ever taken out */
TAILQ_HEAD(verbs_credit_queue, verbs_send_credit);
TAILQ_HEAD(verbs_send_queue, verbs_send_request);

/* What the sending end knows of a rail besides what both ends do. */
struct verbs_send_rail {
	struct verbs_rail *rail;
	struct verbs_part_queue moving[LINA_NCLASSES];
	uint64_t bulk_left;      /* bytes of moving[LINA_CLASS_BULK] that are not posted yet */
	uint64_t bulk_told;      /* of these, what the link knows of */
	uint64_t latency_untold; /* bytes of moving[LINA_CLASS_LATENCY] that the link is to hear of
				  */
	uint64_t granted;        /* bulk that the receiver takes in all */
	uint64_t bulk_posted;    /* in all, but for what a rail did not deliver */
};

struct verbs_sender {
	struct verbs_conn conn;
	struct verbs_send_queue waiting; /* for credit, in the order of their isend */
	struct verbs_credit_queue credits;
	uint64_t next_number;  /* of the receive whose credit comes next */
	uint64_t report_bytes; /* bulk bytes that are worth an immediate */
	unsigned turn;         /* which rail small messages begin with */
	unsigned chunks;       /* bulk chunks posted */
	struct verbs_send_rail rail[VERBS_RAILS_MAX];
	struct verbs_send_request request[VERBS_REQUESTS];
	struct verbs_send_credit credit[VERBS_REQUESTS][LINA_RECVS_MAX];
};

/* Takes the credits that the receiver has written, for those that wait. */
int verbs_credits_pull(struct verbs_sender *s);
/* The same of the grants of a rail. */
void verbs_grants_pull(struct verbs_sender *s, struct verbs_send_rail *sr);
/* Finds credit for a request that has just been made: it moves or waits. */
int verbs_credit_match(struct verbs_sender *s, struct verbs_send_request *r);

/* The request has its credit: from now on it moves. */
void verbs_send_move(struct verbs_sender *s, struct verbs_send_request *r);
/* Queues what is left of part on rail. Where that is not up, it waits for one that is. */
void verbs_part_queue(struct verbs_sender *s, struct verbs_part *part, int rail);
/* Posts what may be posted. 0, or the connection's error. */
int verbs_send_push(struct verbs_sender *s);

/* The rail has ended at both ends: what it did not deliver goes on another (verbs_undo.c). */
int verbs_send_rail_ended(struct verbs_conn *conn, struct verbs_rail *rail);
/* It is up: what had no rail goes on it. */
void verbs_send_rail_up(struct verbs_conn *conn, struct verbs_rail *rail);
/* Ends requests that the receiver has wholly, though a broken rail cannot say so. */
void verbs_send_settle(struct verbs_sender *s);

#endif
