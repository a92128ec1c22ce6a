/*
 * What cmocka cases over one connection share: the connection, opened before a case and closed
 * after it, and checks that say where they stand and what the log says.
 */
#ifndef LINA_TESTS_NET_CASES_H
#define LINA_TESTS_NET_CASES_H

/* In the order that cmocka asks for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "net/fixture.h"

/* How long anything may take that has to end. */
enum { LIMIT_MS = 60000 };

/* The connection of the case that runs. */
extern struct pair pair;

int open_one_lane(void **state);
int open_three_lanes(void **state);
int close_pair(void **state);

#define WITH(test, open) cmocka_unit_test_setup_teardown(test, open, close_pair)

/* Fails the case, with the log, unless err is 0. */
void must(int err, const char *what, int line);

#define MUST(call) must((call), #call, __LINE__)

/* n bytes, or 1 if n is 0; fails the case if there is no memory. To be freed with free. */
uint8_t *bytes_new(size_t n);

#endif
