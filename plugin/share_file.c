#include "plugin/share_file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "plugin/share_layout.h"

#define GATE_WAIT_NS UINT64_C(2000000000)
#define GATE_NAP_NS  200000

/* Byte 0 of the file is locked as the gate, a slot's first byte by its owner. */
enum { GATE_AT = 0, MODE = 0600 };

static uint64_t now_ns(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

int lina_share_name(const char *link_name, char name[LINA_SHARE_NAME_BYTES])
{
	struct stat st;

	if (!*link_name || strchr(link_name, '/'))
		return -EINVAL;
	/* A thread may be in another network namespace than its process, and so are its sockets. */
	if (stat("/proc/thread-self/ns/net", &st))
		return -errno;
	int n = snprintf(name, LINA_SHARE_NAME_BYTES, "/lina-share-%d-u%ju-n%ju-%s",
		LINA_SHARE_VERSION, (uintmax_t)geteuid(), (uintmax_t)st.st_ino, link_name);
	return n > 0 && n < LINA_SHARE_NAME_BYTES ? 0 : -EINVAL;
}

/* --- locks --- */

static struct flock lock_of(short type, off_t at, off_t bytes)
{
	return (struct flock){
		.l_type = type, .l_whence = SEEK_SET, .l_start = at, .l_len = bytes
	};
}

static int lock_try(int fd, off_t at)
{
	struct flock lock = lock_of(F_WRLCK, at, 1);

	if (!fcntl(fd, F_OFD_SETLK, &lock))
		return 0;
	return errno == EACCES ? -EAGAIN : -errno;
}

/* bytes 0: to the end of the file. */
static void unlock(int fd, off_t at, off_t bytes)
{
	struct flock lock = lock_of(F_UNLCK, at, bytes);

	(void)fcntl(fd, F_OFD_SETLK, &lock);
}

/* It does not wait in the kernel: a holder that is stopped would take its neighbours with it. */
static int gate_lock(int fd, uint64_t deadline_ns)
{
	const struct timespec nap = { .tv_nsec = GATE_NAP_NS };
	int err;

	while ((err = lock_try(fd, GATE_AT)) == -EAGAIN) {
		if (now_ns() > deadline_ns)
			return -ETIMEDOUT;
		(void)nanosleep(&nap, NULL);
	}
	return err;
}

static off_t slot_at(int i)
{
	return (off_t)(offsetof(struct lina_share_segment, slot) +
		       (size_t)i * sizeof(struct lina_share_slot));
}

bool lina_share_file_others(int fd)
{
	struct flock lock = lock_of(F_WRLCK, slot_at(0), slot_at(LINA_SHARE_SLOTS) - slot_at(0));

	return fcntl(fd, F_OFD_GETLK, &lock) || lock.l_type != F_UNLCK;
}

/* --- the file --- */

static int file_open(const char *name, int *fd_p)
{
	int fd = shm_open(name, O_RDWR, 0);

	if (fd < 0 && errno == ENOENT) {
		fd = shm_open(name, O_RDWR | O_CREAT | O_EXCL, MODE);
		if (fd < 0 && errno == EEXIST)
			return -ESTALE;
		if (fd >= 0)
			(void)fchmod(fd, MODE); /* the umask may have left less */
	}
	/* EISDIR comes out of shm_open as EINVAL. */
	if (fd < 0)
		return errno == EACCES || errno == ELOOP || errno == EINVAL ? -EPERM : -errno;
	*fd_p = fd;
	return 0;
}

static int file_is_private(int fd)
{
	struct stat st;

	if (fstat(fd, &st))
		return -errno;
	if (!S_ISREG(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 07777) != MODE)
		return -EPERM;
	return 0;
}

/* -ESTALE: by now the name is that of another file, or nobody's. */
static int file_has_name(int fd, const char *name)
{
	struct stat here = { 0 }, there = { 0 };
	int other = shm_open(name, O_RDONLY, 0);

	if (other < 0)
		return errno == ENOENT || errno == EACCES ? -ESTALE : -errno;
	int err = fstat(fd, &here) || fstat(other, &there) ? -errno : 0;
	(void)close(other);
	if (err)
		return err;
	return here.st_dev == there.st_dev && here.st_ino == there.st_ino ? 0 : -ESTALE;
}

/* Opens or makes the file and locks its gate, unless it is stale. */
static int file_try_enter(const char *name, uint64_t deadline_ns, int *fd_p)
{
	int fd = -1;
	int err = file_open(name, &fd);

	if (err)
		return err;
	err = file_is_private(fd);
	if (!err)
		err = gate_lock(fd, deadline_ns);
	if (!err)
		err = file_has_name(fd, name);
	if (err) {
		unlock(fd, 0, 0);
		(void)close(fd);
		return err;
	}
	*fd_p = fd;
	return 0;
}

/* As long as the last one removes the file between our opening it and our locking it, another is
 * tried. */
int lina_share_file_enter(const char *name, int *fd_p)
{
	const uint64_t deadline_ns = now_ns() + GATE_WAIT_NS;
	int err;

	while ((err = file_try_enter(name, deadline_ns, fd_p)) == -ESTALE)
		if (now_ns() > deadline_ns)
			return -ETIMEDOUT;
	return err;
}

static void remove_if_last(int fd, const char *name)
{
	if (!lina_share_file_others(fd) && !file_has_name(fd, name))
		(void)shm_unlink(name);
}

int lina_share_file_slot_lock(int fd, int i)
{
	return lock_try(fd, slot_at(i));
}

void lina_share_file_leave_gate(int fd)
{
	unlock(fd, GATE_AT, 1);
}

int lina_share_file_exit(int fd, const char *name)
{
	int err = gate_lock(fd, now_ns() + GATE_WAIT_NS);

	if (!err)
		remove_if_last(fd, name);
	unlock(fd, 0, 0);
	return err;
}
