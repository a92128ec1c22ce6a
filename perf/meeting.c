#include "perf/meeting.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { OPEN_TIMEOUT_S = 60, OPEN_POLL_US = 5000 };

struct meeting {
	pthread_barrier_t barrier;
};

static struct meeting *map(int fd, const char *path)
{
	struct meeting *meeting =
		mmap(NULL, sizeof(*meeting), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (meeting == MAP_FAILED)
		die("cannot map %s: %s", path, strerror(errno));
	close(fd);
	return meeting;
}

/* Rank 0 makes it whole before the others see its name. */
static struct meeting *create(const struct job *job, const char *path)
{
	char part[PATH_MAX + 8];
	pthread_barrierattr_t attributes;

	(void)snprintf(part, sizeof(part), "%s.part", path);
	int fd = open(part, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0 || ftruncate(fd, sizeof(struct meeting)) != 0)
		die("cannot write %s: %s", part, strerror(errno));
	struct meeting *meeting = map(fd, part);
	pthread_barrierattr_init(&attributes);
	pthread_barrierattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
	int err = pthread_barrier_init(&meeting->barrier, &attributes, (unsigned int)job->nranks);
	pthread_barrierattr_destroy(&attributes);
	if (err != 0)
		die("no barrier for %d ranks: %s", job->nranks, strerror(err));
	if (rename(part, path) != 0)
		die("cannot write %s: %s", path, strerror(errno));
	return meeting;
}

static struct meeting *join(const char *path)
{
	double end_us = now_us() + OPEN_TIMEOUT_S * 1e6;
	int fd;

	while ((fd = open(path, O_RDWR | O_CLOEXEC)) < 0) {
		if (now_us() > end_us)
			die("rank 0 did not write %s in %d s", path, (int)OPEN_TIMEOUT_S);
		usleep(OPEN_POLL_US);
	}
	return map(fd, path);
}

struct meeting *meeting_open(const struct job *job)
{
	char path[PATH_MAX];

	(void)snprintf(path, sizeof(path), "%s/meeting", job->dir);
	return job->rank == 0 ? create(job, path) : join(path);
}

void meeting_wait(void *meeting)
{
	(void)pthread_barrier_wait(&((struct meeting *)meeting)->barrier);
}

void meeting_close(struct meeting *meeting)
{
	(void)munmap(meeting, sizeof(*meeting));
}
