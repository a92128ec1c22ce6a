/*
 * The verbs transport, shared by its files:
 *   verbs_transport.c  devices as NCCL sees them, and the table of functions
 *   verbs_dev.h        RDMA devices, ports, memory (verbs_dev.c, verbs_mr.c)
 *   verbs_wire.h       what the ends tell each other
 *   verbs_setup.c      how a connection comes up, over the socket that tcp_meet.h gives
 *   verbs_conn.c       what both ends have in common
 *   verbs_qp.c         queue pairs: what is posted on them and what completes
 *   verbs_lost.c       completions that never come
 *   verbs_rail.c       rails that break and come back
 *   verbs_send.c       the sending end
 *   verbs_undo.c       the sending end: what a broken rail did not deliver
 *   verbs_match.c      the sending end: credits and what they are for
 *   verbs_recv.c       the receiving end
 *   verbs_credit.c     the receiving end: what it writes to the sender's memory
 *   verbs_flush.h      the receiving end: memory of GPUs
 *
 * A connection has a rail, or LINA_QPS of them, for each port of its device, and a rail a queue
 * pair for each class of traffic, so that latency messages never wait behind bulk in a NIC. Data
 * moves only against credit: the receiver writes the address of each buffer into the sender's
 * control memory, and the sender writes data to it. Immediates say how far it is. Bulk needs a
 * grant of its rail besides, a number in the control memory.
 *
 * A message is one part, or a part for each rail. A part is cut into chunks; each goes to its end.
 * What a queue pair has not completed when its rail breaks is sent again on another, once both ends
 * have seen that nothing more comes in on the broken one and the receiver has said what has.
 */
#ifndef LINA_PLUGIN_VERBS_CONN_H
#define LINA_PLUGIN_VERBS_CONN_H

#include <endian.h>

#include "plugin/tcp_meet.h"
#include "plugin/verbs_dev.h"
#include "plugin/verbs_wire.h"

enum {
	VERBS_SENDS = 256, /* work requests of a queue pair that have not completed, at most */
	VERBS_RECVS = VERBS_IMMS, /* the same of immediates to come */
	VERBS_INLINE_BYTES = 64   /* what a queue pair is asked to take along with the request */
};

struct verbs_part;

/* A work request that was posted and has not completed. */
struct verbs_piece {
	struct verbs_part *part; /* NULL: of control memory */
	uint64_t offset;         /* in the message */
	uint32_t bytes;
	bool has_imm;
	uint8_t asks;             /* which queue pair it reads for what that missed; 0: none */
	enum verbs_imm_kind kind; /* has_imm */
};

/* Whether the peer learns from it what has come in. */
static inline bool verbs_piece_reports(const struct verbs_piece *piece)
{
	return piece->has_imm && piece->kind != VERBS_BEGIN && piece->kind != VERBS_HIGH;
}

struct verbs_qp {
	struct ibv_qp *qp; /* NULL: none */
	enum lina_class cls;
	struct ibv_send_wr wr;       /* what is posted next; one piece of memory, */
	struct ibv_sge sge;          /* this */
	uint64_t wr_ids;             /* of sends, but for their numbers; of this life */
	uint32_t nsends, nrecvs;     /* that may be posted; powers of two */
	uint32_t inline_bytes;       /* that a request may carry */
	struct verbs_piece *piece;   /* [nsends]: request number i at i % nsends */
	uint32_t posted, completed;  /* requests of this life; wrap */
	uint32_t unsignalled;        /* the last of these */
	uint32_t signalled;          /* the completion of the request before this one is to come */
	uint32_t imms_said;          /* immediates among those posted, */
	uint32_t imms_completed;     /* and among those completed */
	struct verbs_said *said;     /* of control memory */
	uint32_t unreported;         /* bytes posted since the last immediate */
	uint32_t unreported_done;    /* bytes completed since the last immediate that did */
	uint64_t below_bytes;        /* posted and not completed */
	uint32_t recvs;              /* posted for immediates to come */
	uint32_t imms_seen;          /* immediates that have come in this life, */
	uint32_t imms_in;            /* of which these were taken; the others were missed */
	uint32_t waits_at;           /* completed when a completion was first missed, */
	uint64_t waits_ns;           /* at this time; 0: none is to come */
	uint32_t asked_at;           /* the receiver: imms_in when nothing more came, */
	uint64_t asked_ns;           /* and when it last asked why; 0: something has come */
	struct verbs_rail *asked_by; /* by which it asks what it has missed; NULL: it does not */
	uint32_t asked_to;           /* of those before this one at least */
	bool asked_last;             /* it has asked since its own rail broke */
};

enum verbs_rail_state {
	VERBS_UP,
	VERBS_ENDING, /* its queue pairs take nothing any more; what they took is looked at */
	VERBS_ENDED,  /* the peer has been told, and has not said the same */
	VERBS_DOWN,
	VERBS_RISING, /* the peer has been asked, or has to say go */
};

struct verbs_rail {
	struct verbs_port *port;
	struct verbs_address address; /* of the port, since the connection was made */
	uint32_t whole_bytes;         /* that go in one request with an immediate */
	struct ibv_cq *cq;
	struct ibv_mr *control_mr;
	struct verbs_qp qp[LINA_NCLASSES]; /* of a loop only the first */
	bool is_loop;                      /* of a flush: with itself */
	struct verbs_health health;        /* of these */
	struct lina_link_flow *flow;       /* [LINA_NCLASSES], among the connection's */
	enum verbs_rail_state state;
	uint32_t life;     /* how often it was connected before */
	uint64_t since_ns; /* of state; not for VERBS_UP */
	bool peer_ended;   /* the peer has said so, and: */
	uint32_t peer_imms[LINA_NCLASSES];
	struct verbs_rail_info own, peer;
};

enum { VERBS_NOTES_MAX = 4 * VERBS_RAILS_MAX };

struct verbs_conn {
	struct tcp_conn sock;
	struct lina_transport *transport;
	const struct lina_verbs *verbs;
	enum lina_dir dir;
	int traffic_class; /* 0..255, of both ends, where the user has set none for ours; -1: none
			    */
	const char *doing; /* for messages: "sending to", "receiving from" */
	struct verbs_control *control;
	struct verbs_flush *flush; /* NULL: nothing was flushed yet */
	uint64_t peer_control;     /* its address */
	int nrails;                /* that both ends have */
	int nbroken;               /* of these, that are not up */
	int outages;               /* times that none was, since data last got through */
	uint64_t dark_ns;          /* since when none is; 0: one is up */
	struct verbs_rail rail[VERBS_RAILS_MAX];
	struct lina_link_flow flow[VERBS_RAILS_MAX * LINA_NCLASSES];
	unsigned idle_tests; /* that moved nothing, in all; wraps */
	uint64_t gone_ns;    /* when the peer was found to have closed its socket; 0: it has not */
	/* Notes in and out, whole and in part. */
	size_t heard, told_from, told_until;
	uint8_t hear[VERBS_NOTE_BYTES], tell[VERBS_NOTES_MAX * VERBS_NOTE_BYTES];
	/* Of its end. */
	void (*piece_done)(struct verbs_conn *conn, struct verbs_rail *rail, struct verbs_qp *qp,
		const struct verbs_piece *piece);
	int (*imm_take)(struct verbs_conn *conn, struct verbs_rail *rail, struct verbs_qp *qp,
		uint32_t imm);
	/* The rail has ended at both ends: what it did not deliver is to go on others. */
	int (*rail_ended)(struct verbs_conn *conn, struct verbs_rail *rail);
	/* It is to be used again (VERBS_RISING) or is. */
	void (*rail_up)(struct verbs_conn *conn, struct verbs_rail *rail);
};

/* --- both ends --- */

/* Makes the queue pairs and the control memory of an end on nic, before its sockets. 0, or what
 * could not be made (logged; close it even so). */
int verbs_conn_open(struct verbs_conn *conn, struct lina_transport *transport,
	const struct verbs_nic *nic, enum lina_dir dir);
/* Gives all back, sockets too, and frees it. From any state. */
void verbs_conn_close(struct verbs_conn *conn);
/* Rails of a connection on nic: as many of each port as the user wants, as far as there may be. */
static inline int verbs_nrails(const struct lina_config *config, const struct verbs_nic *nic)
{
	int n = nic->nports * config->qps;

	return n < VERBS_RAILS_MAX ? n : VERBS_RAILS_MAX;
}

/* Of a sender, before it connects. */
void verbs_traffic_class_set(struct verbs_conn *conn, int traffic_class);
void verbs_conn_info(const struct verbs_conn *conn, struct verbs_info *info_p);
/* Connects to the peer with info. A rail that cannot be begins as down, as long as there is one
 * that can. -EPROTO: the ends do not fit each other (logged). -ETIMEDOUT: the only one got no
 * answer, which may be tried again. */
int verbs_conn_connect(struct verbs_conn *conn, const struct verbs_info *info);

/* Makes conn fail, if it has not: nothing on it touches memory of NCCL any more. why NULL: as err
 * says. Returns the connection's error. */
__attribute__((cold)) int verbs_conn_fail(struct verbs_conn *conn, int err, const char *why);

/* For a test that moved nothing: looks after the peer and the rails now and then. */
int verbs_conn_idle(struct verbs_conn *conn);

/* The first rail that is up, or -1: there is none at present. */
int verbs_first_up(const struct verbs_conn *conn);

struct verbs_mr {
	struct tcp_mr range; /* first */
	int type;
	int n;
	struct ibv_mr *mr[VERBS_RAILS_MAX]; /* [n], of each rail; NULL: it will never be up */
	struct verbs_device *device[VERBS_RAILS_MAX];
};

int verbs_reg(struct lina_conn *conn, void *data, size_t bytes, int type, uint64_t offset, int fd,
	struct lina_mr **mr_p);
int verbs_dereg(struct lina_conn *conn, struct lina_mr *mr);
/* -EINVAL (logged), or 0: nothing is to be sent. */
int verbs_mr_refuse(const struct lina_mr *mr, const void *data, size_t bytes);
/* As tcp_mr_check; bytes need a registration. */
static inline int verbs_mr_check(const struct lina_mr *mr, const void *data, size_t bytes)
{
	if (mr && data && tcp_mr_holds((const struct tcp_mr *)mr, data, bytes))
		return 0;
	return verbs_mr_refuse(mr, data, bytes);
}

/* --- queue pairs (verbs_qp.c) --- */

/* What could not be made is logged; close it even so. */
int verbs_rail_open(struct verbs_conn *conn, struct verbs_rail *rail, unsigned control_access);
void verbs_rail_close(struct verbs_conn *conn, struct verbs_rail *rail);
/* From reset to init; from init to ready to send. */
int verbs_rail_init(struct verbs_conn *conn, struct verbs_rail *rail);
int verbs_rail_connect(struct verbs_conn *conn, struct verbs_rail *rail);
/* What the queue pair can do with one of its vendor's, or does with its peer; nothing: no more than
 * the standard says. */
void verbs_ece_read(
	const struct verbs_conn *conn, const struct verbs_qp *qp, struct verbs_ece *ece_p);
/* What was posted completes with an error, what arrives is refused. */
void verbs_rail_stop(struct verbs_conn *conn, struct verbs_rail *rail);
int verbs_rail_reset(struct verbs_conn *conn, struct verbs_rail *rail);

/* Whether both ends have its queue pairs. */
static inline bool verbs_rail_exists(const struct verbs_rail *rail)
{
	return rail->qp[0].qp && rail->peer.qpn[0];
}

/* Whether it may be used in a later life. */
static inline bool verbs_rail_may_return(const struct verbs_rail *rail)
{
	return !rail->port->device->gone && !rail->health.cq_failed;
}

/* How many requests the queue pair can take. */
static inline uint32_t verbs_qp_room(const struct verbs_qp *qp)
{
	return qp->nsends - (qp->posted - qp->completed);
}

/* A write to the peer; or, with reads, a read of what is there to here. */
struct verbs_write {
	struct verbs_piece piece; /* what is remembered of it */
	uint32_t imm;             /* piece.has_imm: verbs_imm_encode */
	bool reads, signal;
	bool by_nic; /* from is the NIC's to look at: a GPU's memory, or where a read goes */
	const void *from;
	uint64_t to;
	uint32_t lkey, rkey;
};

/* The queue pair, one of the rail, has room. A rail that cannot take it breaks, and what was to be
 * written is among what it did not deliver. 0, or the connection's error. */
int verbs_post(struct verbs_conn *conn, struct verbs_rail *rail, struct verbs_qp *qp,
	const struct verbs_write *write);

/* Takes need immediates or more, at most nrecvs, on both queue pairs: where it is to be more, by so
 * many that it is not each message that asks for another. */
int verbs_recvs_fill(struct verbs_conn *conn, struct verbs_rail *rail, uint32_t need);

/* Takes what has completed. 0, or the connection's error. */
int verbs_rail_poll(struct verbs_conn *conn, struct verbs_rail *rail);

/* The oldest request has completed, or has been delivered as the peer knows. */
void verbs_qp_complete(struct verbs_conn *conn, struct verbs_rail *rail, struct verbs_qp *qp);

/* --- completions that never come (verbs_lost.c) --- */

/* An immediate, as it goes, is about to be posted: where the receiver looks for what it missed. */
static inline void verbs_imm_say(struct verbs_qp *qp, uint32_t imm)
{
	uint32_t *cell = &qp->said->imm[qp->imms_said++ & (VERBS_IMMS - 1)];

	__atomic_store_n(cell, imm, __ATOMIC_RELAXED);
}

/* The receiver may ask for it at any time. */
static inline void verbs_imm_completed(const struct verbs_rail *rail, struct verbs_qp *qp)
{
	qp->imms_completed++;
	__atomic_store_n(&qp->said->delivered,
		htobe64(verbs_delivered(rail->life, qp->imms_completed)), __ATOMIC_RELEASE);
}

/* While something is waited for: a completion of a send that does not come in time breaks its rail;
 * for one of a receive the sender's memory is asked. 0, or the connection's error. */
int verbs_lost_look(struct verbs_conn *conn, uint64_t now_ns);
/* The completion of this immediate has come on qp, one of the rail. Those before it may not have.
 */
int verbs_imm_in(struct verbs_conn *conn, struct verbs_rail *rail, struct verbs_qp *qp,
	uint32_t number, uint32_t imm);
/* What asks has been read, by the rail. */
int verbs_lost_answer(struct verbs_conn *conn, const struct verbs_rail *by, unsigned asks);
/* Of a receiver's rail that takes nothing any more: whether what it had missed is still to be
 * learned, by another one. 0: no; -EAGAIN; or the connection's error. */
int verbs_lost_last(struct verbs_conn *conn, struct verbs_rail *rail, uint64_t now_ns);
/* No answer comes by the rail any more. */
void verbs_lost_forget(struct verbs_conn *conn, const struct verbs_rail *by);

/* --- rails (verbs_rail.c) --- */

/* The rail is broken: its work goes to the others, or waits for one that comes back; or the
 * connection fails. */
__attribute__((cold)) int verbs_rail_break(
	struct verbs_conn *conn, struct verbs_rail *rail, const char *why);
/* For the time of set-up: begins as down. */
void verbs_rail_lower(struct verbs_conn *conn, struct verbs_rail *rail);
/* Whether the peer has been told all that came on rails that are not up. */
bool verbs_rails_told(const struct verbs_conn *conn);
/* Moves on what is not up, and takes in what the peer says. */
int verbs_rails_tend(struct verbs_conn *conn);

/* --- ends --- */

/* Ends without sockets; verbs_conn_open says what may fail. */
int verbs_sender_create(
	struct lina_transport *transport, const struct verbs_nic *nic, struct verbs_conn **conn_p);
int verbs_receiver_create(
	struct lina_transport *transport, const struct verbs_nic *nic, struct verbs_conn **conn_p);

/* The receiver's first grant, of each rail; once, before anything is sent. */
void verbs_sender_grant(struct verbs_conn *conn, uint64_t bytes);

/* This end's first grant, and receives for what it brings. 0, or the connection's error. */
int verbs_receiver_grant(struct verbs_conn *conn, uint64_t bytes);

int verbs_send(struct lina_conn *conn, enum lina_class cls, void *data, size_t bytes, int tag,
	struct lina_mr *mr, struct lina_request **request_p);
int verbs_send_test(struct lina_request *request, int *done_p, int *bytes_p);
int verbs_recv(struct lina_conn *conn, enum lina_class cls, int n, void *const *data,
	const size_t *bytes, const int *tags, struct lina_mr *const *mrs,
	struct lina_request **request_p);
int verbs_recv_test(struct lina_request *request, int *done_p, int *bytes_p);

/* --- setup (verbs_setup.c) --- */

int verbs_listen(struct lina_transport *transport, int dev, struct lina_wire_handle *handle_p,
	struct lina_listener **listener_p);
int verbs_accept(struct lina_listener *listener, struct lina_conn **conn_p);
int verbs_dial(struct lina_transport *transport, int dev, const struct lina_wire_handle *handle,
	struct lina_dial **dial_p);
int verbs_dial_step(struct lina_dial *dial, struct lina_conn **conn_p);
void verbs_dial_close(struct lina_dial *dial);

struct lina_transport {
	const struct lina_config *config;
	union lina_addr addr; /* of the interface that connections are set up over */
	bool has_peer_memory;
	struct verbs_hcas hcas;
};

#endif
