#include "launch.h"

#include <errno.h>
#include <ftw.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { READY_POLL_MS = 20 };

struct run {
	const struct launch_options *options;
	char rendezvous_dir[PATH_MAX];
	struct rank_spec spec;
	int signal_fd;
	double start_s, end_s; /* end_s: when all that still run are killed; 0: never */
	double kill_s;         /* when kill_rank is killed; 0: not known yet or done */
	int status;            /* of the run, as far as it is known */
	bool killed;
	struct rank rank[LAUNCH_RANKS_MAX];
};

static double now_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static bool worse(int status, int than)
{
	if (status == 0 || status == LAUNCH_SKIPPED)
		return status != 0 && than == 0;
	return than == LAUNCH_SKIPPED || status > than;
}

static int count_running(const struct run *run)
{
	int n = 0;

	for (int i = 0; i < run->spec.nranks; i++)
		n += run->rank[i].running;
	return n;
}

static void kill_all(struct run *run)
{
	run->killed = true;
	for (int i = 0; i < run->spec.nranks; i++)
		rank_kill(&run->rank[i]);
}

/* ---- the rendezvous folder ---------------------------------------------------------------------
 */

static int make_rendezvous(struct run *run)
{
	const char *tmp = getenv("TMPDIR");

	snprintf(run->rendezvous_dir, sizeof(run->rendezvous_dir), "%s/lina-launch.XXXXXX",
		tmp != NULL && *tmp != '\0' ? tmp : "/tmp");
	if (mkdtemp(run->rendezvous_dir) == NULL) {
		int err = errno;
		fprintf(stderr, "lina-launch: cannot make %s: %s\n", run->rendezvous_dir,
			strerror(err));
		return -err;
	}
	run->spec.rendezvous_dir = run->rendezvous_dir;
	return 0;
}

static int remove_one(const char *path, const struct stat *stat, int type, struct FTW *ftw)
{
	(void)stat;
	(void)type;
	(void)ftw;
	return remove(path);
}

static void remove_rendezvous(const struct run *run)
{
	nftw(run->rendezvous_dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

/* ---- what ends a run ---------------------------------------------------------------------------
 */

static void rank_ended(struct run *run, int index)
{
	struct rank *rank = &run->rank[index];

	rank_reap(rank);
	if (rank->sentenced || rank->status == 0)
		return;
	fprintf(stderr,
		rank->status > 128 ? "lina-launch: rank %d died of signal %d after %.1f s\n"
				   : "lina-launch: rank %d ended with status %d after %.1f s\n",
		index, rank->status > 128 ? rank->status - 128 : rank->status,
		now_s() - run->start_s);
	if (worse(rank->status, run->status))
		run->status = rank->status;
	double end_s = now_s() + run->options->grace_s;
	if (run->end_s == 0 || end_s < run->end_s)
		run->end_s = end_s;
}

static struct rank *find_rank(struct run *run, pid_t pid)
{
	for (int i = 0; i < run->spec.nranks; i++)
		if (run->rank[i].running && run->rank[i].pid == pid)
			return &run->rank[i];
	return NULL;
}

/* Orphans of the ranks come to us, as their subreaper; they are reaped and forgotten. */
static void reap(struct run *run)
{
	siginfo_t info = { 0 };

	while (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid != 0) {
		struct rank *rank = find_rank(run, info.si_pid);
		if (rank != NULL)
			rank_ended(run, (int)(rank - run->rank));
		else
			waitpid(info.si_pid, NULL, 0);
		info.si_pid = 0;
	}
}

/* Kills what left its rank's process group: such processes are our children by now. */
static void kill_orphans(void)
{
	int pid;

	for (int round = 0; round < 100; round++) {
		FILE *children = fopen("/proc/thread-self/children", "r");
		if (children == NULL)
			return; /* a kernel without CONFIG_PROC_CHILDREN: the groups had to do */
		int n = 0;
		while (fscanf(children, "%d", &pid) == 1) {
			kill(pid, SIGKILL);
			waitpid(pid, NULL, 0);
			n++;
		}
		fclose(children);
		if (n == 0)
			return;
	}
}

static void take_signal(struct run *run)
{
	struct signalfd_siginfo info;

	while (read(run->signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
		if (info.ssi_signo == SIGCHLD) {
			reap(run);
			continue;
		}
		fprintf(stderr, "lina-launch: ended by signal %u\n", info.ssi_signo);
		run->status = 128 + (int)info.ssi_signo;
		kill_all(run);
	}
}

static void time_out(struct run *run)
{
	bool failed = run->status != 0;

	for (int i = 0; i < run->spec.nranks; i++)
		if (run->rank[i].running)
			fprintf(stderr, "lina-launch: rank %d still runs %s: killed\n", i,
				failed ? "though another failed" : "at the time limit");
	if (!failed)
		run->status = LAUNCH_TIMED_OUT;
	kill_all(run);
}

static void check_ready(struct run *run)
{
	char path[PATH_MAX + 32];

	snprintf(path, sizeof(path), "%s/ready.%d", run->rendezvous_dir, run->options->kill_rank);
	if (access(path, F_OK) == 0)
		run->kill_s = now_s() + run->options->kill_ms * 1e-3;
}

static bool waits_for_ready(const struct run *run)
{
	const struct launch_options *options = run->options;

	return options->kill_when_ready && run->kill_s == 0 &&
	       !run->rank[options->kill_rank].sentenced;
}

static void check_clock(struct run *run)
{
	if (waits_for_ready(run))
		check_ready(run);
	if (run->kill_s != 0 && now_s() >= run->kill_s) {
		run->kill_s = 0;
		fprintf(stderr, "lina-launch: rank %d is killed, as asked\n",
			run->options->kill_rank);
		rank_kill(&run->rank[run->options->kill_rank]);
	}
	if (run->end_s != 0 && now_s() >= run->end_s && !run->killed)
		time_out(run);
}

/* ---- the loop ----------------------------------------------------------------------------------
 */

static int next_wait_ms(const struct run *run)
{
	double until_s = run->killed ? 0 : run->end_s;

	if (run->kill_s != 0 && (until_s == 0 || run->kill_s < until_s))
		until_s = run->kill_s;
	int wait_ms = until_s == 0 ? -1 : (int)((until_s - now_s()) * 1e3) + 1;
	if (waits_for_ready(run) && (wait_ms < 0 || wait_ms > READY_POLL_MS))
		wait_ms = READY_POLL_MS;
	return until_s != 0 && wait_ms < 0 ? 0 : wait_ms;
}

static void pump(struct run *run, const struct pollfd *polled)
{
	for (int i = 0; i < run->spec.nranks; i++)
		for (int s = 0; s < RANK_STREAMS; s++)
			if (polled[i * RANK_STREAMS + s].revents != 0)
				line_reader_pump(&run->rank[i].stream[s]);
}

static void watch(struct run *run)
{
	struct pollfd polled[LAUNCH_RANKS_MAX * RANK_STREAMS + 1];
	int nstreams = run->spec.nranks * RANK_STREAMS;

	while (count_running(run) > 0) {
		for (int i = 0; i < nstreams; i++) {
			polled[i].fd = run->rank[i / RANK_STREAMS].stream[i % RANK_STREAMS].from_fd;
			polled[i].events = POLLIN;
			polled[i].revents = 0;
		}
		polled[nstreams].fd = run->signal_fd;
		polled[nstreams].events = POLLIN;
		polled[nstreams].revents = 0;
		poll(polled, (nfds_t)nstreams + 1, next_wait_ms(run));
		pump(run, polled);
		if (polled[nstreams].revents != 0)
			take_signal(run);
		check_clock(run);
	}
}

static int open_signals(struct run *run)
{
	const int taken[] = { SIGCHLD, SIGINT, SIGTERM, SIGHUP };
	sigset_t set;

	sigemptyset(&set);
	for (size_t i = 0; i < sizeof(taken) / sizeof(*taken); i++)
		sigaddset(&set, taken[i]);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	run->signal_fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	return run->signal_fd < 0 ? -errno : 0;
}

static void start_all(struct run *run)
{
	const struct launch_options *options = run->options;
	int err = 0;

	run->start_s = now_s();
	for (int i = 0; i < run->spec.nranks && err == 0; i++)
		err = rank_start(&run->rank[i], i, &run->spec);
	if (err != 0) {
		run->status = 1;
		kill_all(run);
		return;
	}
	if (options->timeout_s > 0)
		run->end_s = run->start_s + options->timeout_s;
	if (options->kill_rank >= 0 && !options->kill_when_ready)
		run->kill_s = run->start_s + options->kill_ms * 1e-3;
}

static int open_all(struct run *run, int *nopen_p)
{
	int err = 0;

	for (int i = 0; i < run->spec.nranks && err == 0; i++) {
		err = rank_open(&run->rank[i], i, &run->spec);
		*nopen_p = i + 1;
	}
	return err;
}

int launch_run(const struct launch_options *options)
{
	struct run *run = calloc(1, sizeof(*run));
	int nopen = 0;

	if (run == NULL)
		return 1;
	run->options = options;
	run->spec = options->spec;
	run->status = 1;
	if (open_signals(run) != 0 || make_rendezvous(run) != 0)
		goto free_run;
	int err = open_all(run, &nopen);
	if (err == 0) {
		run->status = 0;
		start_all(run);
		watch(run);
		kill_orphans();
	}
	for (int i = 0; i < nopen; i++)
		rank_close(&run->rank[i]);
	remove_rendezvous(run);
free_run:;
	int status = run->status;
	free(run);
	return status;
}
