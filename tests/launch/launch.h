/* A run of lina-launch: its options, and the run itself. */
#ifndef LINA_TESTS_LAUNCH_LAUNCH_H
#define LINA_TESTS_LAUNCH_LAUNCH_H

#include "rank.h"

#include <stdbool.h>

enum { LAUNCH_RANKS_MAX = 64, LAUNCH_TIMED_OUT = 124, LAUNCH_SKIPPED = 77 };

struct launch_options {
	struct rank_spec spec; /* rendezvous_dir is the run's to fill in */
	double timeout_s;      /* 0: none */
	double grace_s;        /* from the first failure to the end of all */
	int kill_rank;         /* -1: none */
	double kill_ms;
	bool kill_when_ready; /* kill_ms counts from LINA_RENDEZVOUS/ready.<rank>, else from the
				 start */
};

/* Runs the ranks to their end and leaves no process and no file behind. The exit status: that of
 * the worst rank (a skip, 77, is worse than success and better than any failure),
 * LAUNCH_TIMED_OUT, or 128 + the signal that ended the launcher. A rank that the launcher killed
 * does not count: the one whose failure made it do so does. */
int launch_run(const struct launch_options *options);

#endif
