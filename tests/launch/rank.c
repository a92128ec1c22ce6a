#include "rank.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static int complain(const char *what, const char *name)
{
	int err = errno;

	fprintf(stderr, "lina-launch: %s %s: %s\n", what, name, strerror(err));
	return -err;
}

static int open_netns(int index, const char *prefix, int *fd_p)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "/run/netns/%s%d", prefix, index);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return complain("no test host (make them with tests/hosts/hosts):", path);
	*fd_p = fd;
	return 0;
}

static int open_log(int index, const char *dir, int *fd_p)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/rank%d.log", dir, index);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0644);
	if (fd < 0)
		return complain("cannot write the log", path);
	*fd_p = fd;
	return 0;
}

int rank_open(struct rank *rank, int index, const struct rank_spec *spec)
{
	int log_fd = -1, err = 0;

	memset(rank, 0, sizeof(*rank));
	rank->netns_fd = -1;
	if (spec->output_dir != NULL)
		err = open_log(index, spec->output_dir, &log_fd);
	for (int s = 0; s < RANK_STREAMS; s++) {
		rank->stream[s].from_fd = -1;
		rank->stream[s].to_fd = s == RANK_OUT ? STDOUT_FILENO : STDERR_FILENO;
		rank->stream[s].log_fd = log_fd;
		snprintf(rank->stream[s].prefix, sizeof(rank->stream[s].prefix), "[%d] ", index);
	}
	if (err == 0 && spec->hosts_prefix != NULL)
		err = open_netns(index / spec->per_host, spec->hosts_prefix, &rank->netns_fd);
	return err;
}

/* ---- in the new process: every error ends it ------------------------------------------------- */

static void set_number(const char *name, const char *prefix, int value)
{
	char text[PATH_MAX];

	snprintf(text, sizeof(text), "%s%d", prefix, value);
	setenv(name, text, 1);
}

/* Each rank looks like a node with one device, so that every byte goes through the net plugin. */
static void set_environment(int index, const struct rank_spec *spec)
{
	set_number("LINA_RANK", "", index);
	set_number("LINA_NRANKS", "", spec->nranks);
	setenv("LINA_RENDEZVOUS", spec->rendezvous_dir, 1);
	set_number("NCCL_HOSTID", "h", index);
	set_number("HOSTGPU_BUS", "", index);
	if (spec->hosts_prefix != NULL)
		set_number("LINA_HOST", spec->hosts_prefix, index / spec->per_host);
	setenv("NCCL_SOCKET_IFNAME", spec->hosts_prefix != NULL ? "=eth0" : "=lo", 0);
	for (char **setting = spec->settings; *setting != NULL; setting++)
		putenv(*setting);
}

static void become_rank(
	struct rank *rank, int index, const struct rank_spec *spec, pid_t launcher, const int out[])
{
	int null_fd = open("/dev/null", O_RDONLY);
	sigset_t none;

	setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != launcher) /* it was gone before the line above */
		_exit(1);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	dup2(null_fd, STDIN_FILENO);
	dup2(out[RANK_OUT], STDOUT_FILENO);
	dup2(out[RANK_ERR], STDERR_FILENO);
	if (rank->netns_fd >= 0 && setns(rank->netns_fd, CLONE_NEWNET) < 0) {
		complain("cannot enter the network namespace of host", spec->hosts_prefix);
		_exit(1);
	}
	set_environment(index, spec);
	execvp(spec->argv[0], spec->argv);
	complain("cannot run", spec->argv[0]);
	_exit(127);
}

/* ---- in the launcher ------------------------------------------------------------------------ */

static int open_pipes(struct rank *rank, int write_fd[])
{
	for (int s = 0; s < RANK_STREAMS; s++) {
		int fds[2];
		if (pipe2(fds, O_CLOEXEC) < 0)
			return complain("cannot make a pipe for", "a rank");
		rank->stream[s].from_fd = fds[0];
		write_fd[s] = fds[1];
		fcntl(fds[0], F_SETFL, O_NONBLOCK);
	}
	return 0;
}

int rank_start(struct rank *rank, int index, const struct rank_spec *spec)
{
	int write_fd[RANK_STREAMS] = { -1, -1 };
	pid_t launcher = getpid();

	int err = open_pipes(rank, write_fd);
	if (err != 0)
		goto close_pipes;
	pid_t pid = fork();
	if (pid == 0)
		become_rank(rank, index, spec, launcher, write_fd);
	if (pid < 0) {
		err = complain("cannot start", spec->argv[0]);
		goto close_pipes;
	}
	setpgid(pid, pid); /* here as well, so that it holds before either goes on */
	rank->pid = pid;
	rank->running = true;
close_pipes:
	for (int s = 0; s < RANK_STREAMS; s++)
		if (write_fd[s] >= 0)
			close(write_fd[s]);
	return err;
}

void rank_kill(struct rank *rank)
{
	if (!rank->running)
		return;
	rank->sentenced = true;
	kill(-rank->pid, SIGKILL);
}

void rank_reap(struct rank *rank)
{
	int status = 0;

	kill(-rank->pid, SIGKILL);
	while (waitpid(rank->pid, &status, 0) < 0 && errno == EINTR)
		;
	rank->status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
	rank->running = false;
}

void rank_close(struct rank *rank)
{
	for (int s = 0; s < RANK_STREAMS; s++)
		if (rank->stream[s].from_fd >= 0)
			line_reader_finish(&rank->stream[s]);
	if (rank->stream[RANK_OUT].log_fd >= 0)
		close(rank->stream[RANK_OUT].log_fd);
	if (rank->netns_fd >= 0)
		close(rank->netns_fd);
}
