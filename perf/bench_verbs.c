/*
 * Sends of one micro-chunk each over RDMA devices of this process, for a count of the instructions
 * that one takes from isend to post_send: perf/bench_verbs runs it under callgrind. Each send finds
 * its credit there.
 * Usage: bench_verbs [SENDS [BYTES]]     1000 of 65536 bytes without them
 */
#include <stdio.h>
#include <stdlib.h>

#include "perf/die.h"
#include "perf/verbs_sends.h"

int main(int argc, char **argv)
{
	long nsends = argc > 1 ? strtol(argv[1], NULL, 10) : 1000;
	long bytes = argc > 2 ? strtol(argv[2], NULL, 10) : 65536;

	if (nsends < 1 || bytes < 1 || bytes > VERBS_SENDS_BYTES_MAX)
		die("usage: bench_verbs [SENDS [BYTES up to %d]]", VERBS_SENDS_BYTES_MAX);
	printf("%ld sends of %ld bytes, %ld work requests\n", nsends, bytes,
		verbs_sends(nsends, bytes));
	return 0;
}
