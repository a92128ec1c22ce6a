/* The process of a rank forks while data moves, and goes on beside children that have a copy of all
 * it had, registered memory and open devices too. */
#include "bench.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* A child that ends when the pipe's other end closes: by exit(), with what the libraries have to do
 * then, or by becoming another program. */
static pid_t fork_child(bool execs, int *release_p)
{
	int ends[2];
	char byte;

	fflush(NULL);
	if (pipe2(ends, O_CLOEXEC) < 0)
		FAIL("no pipe: %s", strerror(errno));
	pid_t pid = fork();
	if (pid < 0)
		FAIL("no child: %s", strerror(errno));
	if (pid > 0) {
		close(ends[0]);
		*release_p = ends[1];
		return pid;
	}
	close(ends[1]);
	while (read(ends[0], &byte, 1) < 0 && errno == EINTR)
		;
	if (!execs)
		exit(0);
	execl("/bin/true", "true", (char *)NULL);
	_exit(1);
}

/* While the child lives, pages that this process writes may become others: data must come and go by
 * those that it sees. */
static void fork_amid(struct bench *bench, bool execs)
{
	int release, status;

	bench_launch(bench, "allreduce", 1 << 20);
	pid_t pid = fork_child(execs, &release);
	check_finish(&bench->check);
	bench_prove(bench);
	close(release);
	if (waitpid(pid, &status, 0) != pid || status != 0)
		FAIL("the child ended with status %#x", (unsigned)status);
	bench_prove(bench);
}

void run_fork(struct job *job)
{
	struct bench bench;

	/* A child's exit() would end the thread of NCCL's RAS in this process. */
	if (setenv("NCCL_RAS_ENABLE", "0", 1) < 0)
		FAIL("no memory");
	ncclComm_t comm = job_comm(job, "fork");

	job_check_network(job);
	bench_open(&bench, job, comm);
	bench_prove(&bench);
	fork_amid(&bench, false);
	fork_amid(&bench, true);
	bench_close(&bench);
	NCCL(ncclCommDestroy(comm));
	printf("right beside children that exit and that become another program\n");
}
