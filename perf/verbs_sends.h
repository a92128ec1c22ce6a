/*
 * Sends over RDMA devices of the process, for bench_verbs. A library of its own: what is measured
 * is code as the plugin has it, in a shared object.
 */
#ifndef LINA_PERF_VERBS_SENDS_H
#define LINA_PERF_VERBS_SENDS_H

enum { VERBS_SENDS_BYTES_MAX = 1 << 20 };

/* Moves n messages of bytes each (1..VERBS_SENDS_BYTES_MAX), one after the other; each is one
 * micro-chunk of bulk at 64 KiB, and finds its credit there. Returns the work requests that were
 * posted for them. Ends the process where something fails. */
__attribute__((visibility("default"))) long verbs_sends(long n, long bytes);

#endif
