/*
 * A peer in a process of its own, with a pipe each way, and the two ends of a connection to it. A
 * failure of a child, or of a pipe, ends the program; one in the parent's part fails the case.
 */
#ifndef LINA_TESTS_FAULT_CHILD_H
#define LINA_TESTS_FAULT_CHILD_H

/* In the order that cmocka asks for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <cmocka.h>

#include "net/fixture.h"

enum { LIMIT_MS = 30000, LARGE = 48 << 20, SMALL = 64 };

/* What both processes open their contexts with, if nothing else is said; the peer timeout is 1000
 * ms.
 */
extern const char child_settings[];

struct child {
	pid_t pid;
	int to, from; /* pipes */
};

/* Before and after a case: as many descriptors are open after it. */
int setup(void **state);
int teardown(void **state);

#define CASE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

/* Forks a child that runs and then ends. */
struct child child_start(void (*run)(int from, int to));
/* Kills with signal (0: waits only). Its exit status, or minus the signal that ended it. */
int child_end(struct child *child, int signal);

void pipe_write(int fd, const void *bytes, size_t n);
void pipe_read(int fd, void *bytes, size_t n);

/* --- in the child --- */

void child_open(void);
void child_open_with(const char *settings);
struct lina_conn *child_connect(int from);
struct lina_conn *child_accept(int to);
/* Stands still until the child is killed, or the parent is gone. */
void kill_awaited(int from);

/* --- in the parent --- */

void parent_open(void);
void parent_open_with(const char *settings);
struct lina_conn *parent_accept(const struct child *child);
struct lina_conn *parent_connect(const struct child *child);
/* Waits for a byte from it. */
void child_is_ready(const struct child *child);
void fails_as_of_a_dead_peer(struct lina_request *request);

/* --- in both --- */

/* LARGE zeros, to be freed with free. */
uint8_t *large_new(void);

#endif
