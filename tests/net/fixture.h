/*
 * What tests of the net core share: both ends of a connection in one process over loopback, a log
 * that is kept, and what a process holds that must be given back. A failure of the fixture itself
 * ends the program with exit code 1 and a message.
 *
 * The transport is tcp. In a program of lina_test_on_verbs it is verbs, on one fake RDMA device
 * (tests/fake), or as many as fabric_start was told; closing the last context checks that nothing
 * of them is left.
 */
#ifndef LINA_TESTS_NET_FIXTURE_H
#define LINA_TESTS_NET_FIXTURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "plugin/net.h"

/* --- the log: every message from now on is kept and nothing is printed --- */

void record_log(int level, unsigned long flags, const char *file, int line, const char *fmt, ...)
	__attribute__((format(printf, 5, 6)));
void log_forget(void);
int log_warnings(void);
/* Whether a kept warning contains text. */
bool log_says(const char *text);
/* All kept warnings, for the message of a failed check. */
const char *log_text(void);
/* How often text is found in what was said at level INFO, and all of that. */
int log_notes(const char *text);
const char *log_notes_text(void);

/* --- a context on loopback --- */

/* Opens a context with LINA_IFNAME=lo and settings, a list of "NAME=value" separated by spaces, in
 * the environment; all other LINA_ variables are unset. Messages are kept. Nothing moves but by
 * calls of the test (LINA_PUMP=0), unless the environment has FIXTURE_PUMP. */
int net_open(const char *settings, struct lina_net **net_p);

struct pair {
	struct lina_net *net;
	struct lina_conn *send, *recv;
};

/* Listens, connects and accepts within net, in one thread. 0 or the first error. */
int pair_connect(struct lina_net *net, struct pair *pair_p);
/* net_open and pair_connect; ends the program if that fails. */
void pair_open(const char *settings, struct pair *pair_p);
void pair_close(struct pair *pair);

/* Repeats connect until it is done, fails, or ms have passed (-EAGAIN). */
int connect_within(struct lina_net *net, void *handle, int ms, struct lina_conn **conn_p);
int accept_within(struct lina_listener *listener, int ms, struct lina_conn **conn_p);
/* Repeats test until request is done, fails, or ms have passed (-EAGAIN). */
int finish_within(struct lina_request *request, int ms, int *bytes_p);
/* The same for both ends at once; the first error, with *other_p 's in other_p. */
int finish_both(struct lina_request *a, struct lina_request *b, int ms);

/* What a transport that needs it registers memory by, for as long as conn lives; NULL on tcp, whose
 * transfers need none. */
struct lina_mr *memory_at(struct lina_conn *conn, const void *data, size_t bytes);
void memory_of(struct lina_conn *conn, int n, void *const *data, const size_t *bytes,
	struct lina_mr **mrs_p);

/* One buffer of memory_at. */
struct lina_request *post_recv(struct lina_conn *conn, void *data, size_t bytes, int tag);
struct lina_request *post_send(struct lina_conn *conn, const void *data, size_t bytes, int tag);

/* --- data that is known --- */

void fill(void *data, size_t bytes, uint64_t seed);
bool is_filled(const void *data, size_t bytes, uint64_t seed);
/* A small generator (xorshift64*), state not 0. */
uint64_t random_next(uint64_t *state);

/* --- what a process holds --- */

int fds_open(void);
int threads_alive(void);
uint64_t now_ms(void);
void sleep_ms(int ms);

/* Says what is wrong and exits with 1. */
_Noreturn void die(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* Says why and exits with 77. */
_Noreturn void skip_all(const char *why);

#endif
