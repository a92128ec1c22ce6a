/*
 * Two connections of one context over loopback, and so over one link: latency traffic that the
 * kernel does not take on the slow one, and bulk on the quick one. A failed setup ends the program.
 */
#ifndef LINA_TESTS_FAULT_ENGINE_H
#define LINA_TESTS_FAULT_ENGINE_H

/* In the order that cmocka asks for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "net/fixture.h"
#include "priority/class.h"
#include "priority/sched.h"

/* LARGE is more than twice what the kernel takes of a connection that nobody reads. */
enum { LIMIT_MS = 60000, LARGE = 40 << 20, BULK = 1 << 20, BULK_TAG = 9 };

/* One message of which both ends are here. */
struct move {
	struct lina_request *send, *recv; /* NULL: has ended, or was not posted */
	uint8_t *from, *to;
	size_t bytes;
};

/* The case that runs. */
struct engine {
	struct pair slow, quick;
	struct move latency, bulk; /* on slow, on quick */
};
extern struct engine engine;

/* Opens both connections with settings. */
void engine_open(const char *settings);
/* Closes the context and what is left of the case. */
int engine_close(void **state);

/* Of the class, as both ends of the connection see it. */
struct lina_request *recv_as(
	enum lina_class cls, struct lina_conn *conn, void *data, size_t bytes, int tag);
struct lina_request *send_as(
	enum lina_class cls, struct lina_conn *conn, const void *data, size_t bytes, int tag);

/* Of the sending end of a connection, of the receiving end. */
const struct lina_sched *sched_out(const struct lina_conn *conn);
const struct lina_sched *sched_in(const struct lina_conn *conn);
/* Bulk in all that the receiving end has read, but for early messages. */
uint64_t bulk_got(const struct lina_conn *conn);

/* Posts a large latency message on slow, and its receive if asked to, and sends what the kernel
 * takes: some stays queued. */
void latency_get_stuck(bool with_recv);
/* The kernel takes some more of it, and some stays queued. */
void latency_move(void);
int latency_finish(void);

/* Posts BULK bytes on quick with their receive. */
void bulk_post(void);
/* Tests both ends of it often: it does not end. */
void bulk_waits(void);
/* 0 if it ends as it should, with its bytes. */
int bulk_finish(void);

#endif
