/*
 * System calls and allocations that fail or do only part of what is asked. A program that links
 * faults.c with the wrappers of LINA_FAULTS (tests/net/CMakeLists.txt) calls these in place of the
 * C library's; until it asks for faults they do what the C library's do.
 *
 * Threads: one.
 */
#ifndef LINA_TESTS_NET_FAULTS_H
#define LINA_TESTS_NET_FAULTS_H

#include <stdbool.h>
#include <stdint.h>

/* The n-th call from now on (from 1) fails as that call can fail; 0: none does. */
void faults_at(long n);
/* Whether that call was reached, and its name. */
bool faults_met(void);
const char *faults_name(void);

/* From now on messages move in pieces: a few bytes, many, or none (EAGAIN, EINTR), at random. */
void faults_pieces(uint64_t seed);

/* Calls of sendmsg so far. */
long faults_sends(void);

/* Memory that was allocated and not freed by code that is linked with the wrappers. */
long faults_live(void);

/* What TCP_INFO says from now on: of the peer's silence, and of what it owes. ms < 0: the truth. */
void faults_silence(int ms, unsigned unacked, unsigned probes);

#endif
