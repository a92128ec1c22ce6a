#include "share_case.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "plugin/log.h"

static char link_name[32];
static char path[LINA_SHARE_NAME_BYTES + 16];
static int fds_before;

int share_setup(void **state)
{
	char name[LINA_SHARE_NAME_BYTES];

	(void)state;
	(void)snprintf(link_name, sizeof(link_name), "test%d", (int)getpid());
	if (lina_share_name(link_name, name))
		die("no name for %s", link_name);
	(void)snprintf(path, sizeof(path), "/dev/shm%s", name);
	lina_log_set(record_log);
	log_forget();
	fds_before = fds_open();
	return 0;
}

int share_teardown(void **state)
{
	int fds = fds_open(), left = share_file_exists();

	(void)state;
	if (fds != fds_before)
		print_error("%d descriptors before, %d after\n", fds_before, fds);
	if (left && unlink(path) == 0)
		print_error("%s is left\n", path);
	return fds != fds_before || left;
}

const char *share_link(void)
{
	return link_name;
}

const char *share_path(void)
{
	return path;
}

bool share_file_exists(void)
{
	struct stat st;

	return lstat(path, &st) == 0;
}

struct lina_share *share_open(void)
{
	struct lina_share *share = NULL;
	int err = lina_share_open(link_name, &share);

	if (err)
		die("no share: %s: %s", strerror(-err), log_text());
	return share;
}

int share_slots_free(void)
{
	struct lina_share *all[LINA_SHARE_SLOTS + 1];
	int n = 0;

	while (n <= LINA_SHARE_SLOTS && !lina_share_open(link_name, &all[n]))
		n++;
	for (int i = 0; i < n; i++)
		lina_share_close(all[i]);
	return n;
}

uint64_t share_now_ns(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * SECOND_NS + (uint64_t)t.tv_nsec;
}

void share_file_write(const void *bytes, size_t n)
{
	(void)unlink(path);
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if (fd < 0 || write(fd, bytes, n) != (ssize_t)n)
		die("%s: %s", path, strerror(errno));
	(void)close(fd);
}

struct lina_share_segment share_segment_good(void)
{
	return (struct lina_share_segment){ .header = {
						    .magic = LINA_SHARE_MAGIC,
						    .version = LINA_SHARE_VERSION,
						    .bytes = sizeof(struct lina_share_segment),
						    .nslots = LINA_SHARE_SLOTS,
						    .slot_bytes = sizeof(struct lina_share_slot),
					    } };
}

pid_t share_fork(int (*run)(void *arg), void *arg)
{
	pid_t pid = fork();

	if (pid < 0)
		die("fork: %s", strerror(errno));
	if (pid == 0)
		_exit(run(arg));
	return pid;
}

int share_wait(pid_t pid)
{
	int status;

	if (waitpid(pid, &status, 0) != pid)
		die("waitpid: %s", strerror(errno));
	return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}
