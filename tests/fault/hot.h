/*
 * What the tests of hot and cold peers share: a connection to each of two processes as it seems,
 * all of whose traffic is of latency class, messages between them, and a placement table. What is
 * below the connections, a kernel or a device, is the test's to stop (hot_tcp.c, hot_verbs.c). A
 * failure of what is not under test ends the case.
 */
#ifndef LINA_TESTS_FAULT_HOT_H
#define LINA_TESTS_FAULT_HOT_H

#include "net/cases.h"

enum { NPEERS = 2, HOT = 0, COLD = 1, NMESSAGES = 4, NLEARN = 20, GAP_MS = 3 };
enum { HOT_BYTES = 2000000, COLD_BYTES = 200000 };

extern struct pair peer[NPEERS]; /* one connection to each */

void peers_open(const char *settings);
void peers_close(void);

/* One to each peer with all of its bytes, cut into n messages. Receives are posted first. */
struct transfer {
	struct lina_request *send[NMESSAGES], *recv[NMESSAGES];
	int n;
};
void transfer_expect(struct transfer *t, int i, int n);
void transfer_begin(struct transfer *t, int i);
void transfer_finish(struct transfer *t, int i);

/* One to each peer, and the time until the next; n: of these. */
void exchanges(int n);

/* The settings that all cases have, and LINA_PLACEMENT with a table of this text. */
extern const char *const hot_settings;
const char *with_table(const char *text);
const char *table_path(void);
/* Device 0 has four times as much as device 1. */
extern const char *const hot_table;
/* For cmocka's group. */
int table_make(void **state);
int table_remove(void **state);

/* --- what is below --- */

void below_open(void);
/* After the connection is there. */
void below_join(const struct pair *ends);
/* What is handed down from now on stays there. */
void below_stop(void);
void below_go(void);
/* Of a transfer of bytes in one message, the only one: something is still below, or waits to go
 * there; not all of it has been taken though nothing but the plugin kept it back. */
bool below_busy(const struct lina_conn *conn, size_t bytes);
bool below_kept_back(const struct lina_conn *conn, size_t bytes);

#endif
