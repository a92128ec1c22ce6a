/* One rank: a process in a group of its own, perhaps in a network namespace of its own. */
#ifndef LINA_TESTS_LAUNCH_RANK_H
#define LINA_TESTS_LAUNCH_RANK_H

#include "line.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum { RANK_OUT, RANK_ERR, RANK_STREAMS };

struct rank {
	pid_t pid; /* also its process group; 0: not started */
	bool running;
	bool sentenced; /* the launcher sent it SIGKILL: its end says nothing about the program */
	int status;     /* as a shell has it: exit status, or 128 + signal */
	int netns_fd;   /* -1: the launcher's own */
	struct line_reader stream[RANK_STREAMS];
};

/* What every rank of a run is started with. */
struct rank_spec {
	int nranks;
	const char *hosts_prefix; /* NULL: no namespaces */
	int per_host;             /* ranks in a row in one namespace, > 0 */
	const char *output_dir;   /* NULL: no logs */
	const char *rendezvous_dir;
	char **settings; /* NAME=VALUE, NULL-terminated */
	char **argv;     /* the program and its arguments, NULL-terminated */
};

/* Opens what rank `index` needs before any is started: its namespace, and its log in output_dir.
 * Says what is missing on stderr. 0 or -errno; rank_close() undoes it, also after an error. */
int rank_open(struct rank *rank, int index, const struct rank_spec *spec);

/* Starts it. 0 or -errno. */
int rank_start(struct rank *rank, int index, const struct rank_spec *spec);

/* Kills its whole process group, if it still runs. */
void rank_kill(struct rank *rank);

/* Records the end of a rank whose process is a zombie still: kills what is left of its group
 * (whose number cannot have been given away while the zombie is there) and reaps it. */
void rank_reap(struct rank *rank);

/* Writes out what is left of its output and closes all of it. */
void rank_close(struct rank *rank);

#endif
