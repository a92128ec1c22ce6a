/*
 * What the tests of plugin/share.h have in common: a link that only this program knows, and its
 * file. After a case the file is gone, and as many descriptors are open as before.
 */
#ifndef LINA_TESTS_FAULT_SHARE_CASE_H
#define LINA_TESTS_FAULT_SHARE_CASE_H

/* In the order that cmocka asks for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <cmocka.h>

#include "net/fixture.h"
#include "plugin/share.h"
#include "plugin/share_layout.h"

#define SECOND_NS UINT64_C(1000000000)

int share_setup(void **state);
int share_teardown(void **state);

#define SHARE_CASE(test) cmocka_unit_test_setup_teardown(test, share_setup, share_teardown)

/* The link's name, and the path of its file, of the parent for its children too. */
const char *share_link(void);
const char *share_path(void);
bool share_file_exists(void);

/* Ends the program if it fails. */
struct lina_share *share_open(void);

/* How many more shares can be opened now. */
int share_slots_free(void);

uint64_t share_now_ns(void);

/* Makes the file with this content, whatever was there. */
void share_file_write(const void *bytes, size_t n);
/* A segment as it is between its making and the first owner. */
struct lina_share_segment share_segment_good(void);

/* Forks a child that runs, and then ends with what run returns. */
pid_t share_fork(int (*run)(void *arg), void *arg);
/* Its exit status, or minus the signal that ended it. */
int share_wait(pid_t pid);

#endif
