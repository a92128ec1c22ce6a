/*
 * Two queue pairs that are joined, for tests of what a table of verbs does. A failure of what is
 * not under test ends the case.
 */
#ifndef LINA_TESTS_FAKE_VERBS_ENDS_H
#define LINA_TESTS_FAKE_VERBS_ENDS_H

/* In the order that cmocka asks for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "plugin/verbs.h"

enum { ENDS_DEPTH = 8, ENDS_INLINE = 64, ENDS_BYTES = 1 << 16, ENDS_LIMIT_MS = 20000 };

/* One end: a device of its own opening, a queue pair, and memory that the other may reach. */
struct end {
	struct ibv_context *context;
	struct ibv_pd *pd;
	struct ibv_cq *cq;
	struct ibv_qp *qp;
	struct ibv_mr *mr;
	union ibv_gid gid;
	uint32_t gid_index;
	struct ibv_port_attr port;
	uint8_t *memory; /* ENDS_BYTES */
};

/* What the case that runs works with. a and b are of two devices if there are two. */
struct ends {
	const struct lina_verbs *verbs;
	struct end a, b;
	uint8_t timeout, retries, rnr_retries; /* of queue pairs that are joined from now on */
};
extern struct ends ends;

/* Both ends, joined and ready to send. For cmocka's set-up and teardown. */
int ends_open(void **state);
int ends_close(void **state);

/* Steps of one end up to a state; to must be the next one. */
int end_step(struct end *end, const struct end *peer, enum ibv_qp_state to);

/* A work request of one piece of a's memory, to the same place in b's. */
struct ibv_send_wr ends_write(struct ibv_sge *sge, uint64_t wr_id, size_t at, uint32_t bytes);
int end_post(struct end *end, struct ibv_send_wr *wr);
int end_post_recv(struct end *end, uint64_t wr_id);

/* The next completion; the case fails if none comes within ENDS_LIMIT_MS. */
struct ibv_wc end_wait(struct end *end);
/* Polls for a while; the case fails if there is a completion. */
void end_has_none(struct end *end);

#endif
