/*
 * A point where all ranks meet without a network: memory that they share, so all must be on one
 * machine. What they were sending goes on meanwhile, and nothing is sent for the meeting.
 */
#ifndef LINA_PERF_MEETING_H
#define LINA_PERF_MEETING_H

#include "perf/job.h"

struct meeting;

/* Every rank of the job opens one; once in a run. Ends the process where it cannot be had. */
struct meeting *meeting_open(const struct job *job);

/* Returns when every rank has called it as often as this one. A host function for a stream: it
 * takes the meeting. One thread of a process at a time. */
void meeting_wait(void *meeting);

/* When no rank waits any more. */
void meeting_close(struct meeting *meeting);

#endif
