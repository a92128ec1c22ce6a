/*
 * A context that listens on loopback, opened before a cmocka case and closed after it. A failed
 * setup ends the program.
 */
#ifndef LINA_TESTS_FAULT_DOOR_H
#define LINA_TESTS_FAULT_DOOR_H

/* In the order that cmocka asks for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "net/evil.h"

/* SHORT_MS is LINA_CONNECT_TIMEOUT_MS in a SHORT_CASE. */
enum { LIMIT_MS = 30000, SHORT_MS = 700 };

/* The case that runs. */
struct door {
	struct lina_net *net;
	struct lina_listener *listener;
	uint8_t handle[LINA_HANDLE_BYTES]; /* of listener */
	int fds_before;                    /* descriptors open before the case */
};
extern struct door door;

int setup(void **state);
int setup_short_of_time(void **state);
/* Every case leaves as many descriptors as it found. */
int teardown(void **state);

#define CASE(test)       cmocka_unit_test_setup_teardown(test, setup, teardown)
#define SHORT_CASE(test) cmocka_unit_test_setup_teardown(test, setup_short_of_time, teardown)

/* The peer itself must be let in, and be served, whatever went before. */
void peer_gets_in(void);

#endif
