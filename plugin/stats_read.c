#include "plugin/stats_read.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { UNFINISHED_S = 60 }; /* a segment that stays without its magic for so long has no owner */

/* --- the bytes --- */

static bool sizes_right(const struct lina_stats_header *h)
{
	return h->header_bytes == sizeof(struct lina_stats_header) &&
	       h->link_bytes == sizeof(struct lina_stats_link) &&
	       h->row_bytes == sizeof(struct lina_stats_row) &&
	       h->nlinks_max <= LINA_STATS_LINKS_MAX && h->nrows_max <= LINA_STATS_ROWS_MAX;
}

/* Checks a header by itself; *used_p: bytes of the segment that are in use. */
static int header_check(const struct lina_stats_header *h, size_t *used_p)
{
	if (!h->magic)
		return -EAGAIN;
	if (h->magic != LINA_STATS_MAGIC)
		return -EPROTO;
	if (h->version != LINA_STATS_VERSION)
		return -EPROTONOSUPPORT;
	if (!sizes_right(h) || h->nlinks > h->nlinks_max || h->nrows > h->nrows_max)
		return -EPROTO;
	*used_p = sizeof(*h) + h->nlinks_max * sizeof(struct lina_stats_link) +
		  h->nrows * sizeof(struct lina_stats_row);
	return 0;
}

/* What a terminal might obey must not reach it. */
static void text_mend(char text[LINA_STATS_NAME_BYTES])
{
	text[LINA_STATS_NAME_BYTES - 1] = '\0';
	for (char *c = text; *c; c++)
		if (*c < 0x20 || *c > 0x7e)
			*c = '?';
}

int lina_stats_check(void *copy, size_t bytes, struct lina_stats_view *view_p)
{
	struct lina_stats_header *h = copy;
	size_t used;

	if (bytes < sizeof(*h))
		return -EPROTO;
	int err = header_check(h, &used);
	if (err)
		return err == -EAGAIN ? -EPROTO : err;
	if (bytes < used)
		return -EPROTO;
	struct lina_stats_link *links = (struct lina_stats_link *)(h + 1);
	struct lina_stats_row *rows = (struct lina_stats_row *)(links + h->nlinks_max);
	text_mend(h->program);
	for (uint32_t i = 0; i < h->nlinks; i++) {
		text_mend(links[i].name);
		if (links[i].dir >= LINA_NDIRS)
			return -EPROTO;
	}
	for (uint32_t i = 0; i < h->nrows; i++) {
		text_mend(rows[i].peer);
		if (rows[i].link >= h->nlinks || rows[i].cls >= LINA_NCLASSES)
			return -EPROTO;
	}
	*view_p = (struct lina_stats_view){
		.header = h, .nlinks = h->nlinks, .nrows = h->nrows, .links = links, .rows = rows
	};
	return 0;
}

/* --- files --- */

/* read(), unlike a mapping, cannot kill who reads a file that is cut short meanwhile. */
static int read_all(int fd, void *to, size_t bytes)
{
	for (size_t at = 0; at < bytes;) {
		ssize_t n = pread(fd, (char *)to + at, bytes - at, (off_t)at);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EPROTO;
		at += (size_t)n;
	}
	return 0;
}

static int load(int fd, void **copy_p, size_t *bytes_p)
{
	struct lina_stats_header h;
	size_t used;

	int err = read_all(fd, &h, sizeof(h));
	if (!err)
		err = header_check(&h, &used);
	if (err)
		return err;
	void *copy = malloc(used);
	if (!copy)
		return -ENOMEM;
	err = read_all(fd, copy, used);
	if (err) {
		free(copy);
		return err;
	}
	/* Rows may have come since; what was read is what counts. */
	memcpy(copy, &h, sizeof(h));
	*copy_p = copy;
	*bytes_p = used;
	return 0;
}

int lina_stats_load(const char *path, void **copy_p, size_t *bytes_p)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0)
		return -errno;
	int err = load(fd, copy_p, bytes_p);
	(void)close(fd);
	return err;
}

/* The owner holds a lock on its file for as long as it lives. Between making the file and locking
 * it there is a moment in which only its age tells. */
static bool is_dead(int fd)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	struct lina_stats_header h = { .version = 0 };
	struct stat st;
	size_t used;

	if (fcntl(fd, F_GETLK, &lock) || lock.l_type != F_UNLCK || fstat(fd, &st))
		return false;
	ssize_t n = pread(fd, &h, sizeof(h), 0);
	bool finished = n == (ssize_t)sizeof(h) && header_check(&h, &used) != -EAGAIN;
	return finished || st.st_mtime + UNFINISHED_S < time(NULL);
}

/* False: it is not alive, or not for us to see. */
static bool is_alive(int dir_fd, const char *name, int *nremoved_p)
{
	struct stat st;
	int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);

	if (fd < 0)
		return false;
	bool regular = fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
	bool dead = regular && is_dead(fd);
	(void)close(fd);
	if (dead && unlinkat(dir_fd, name, 0) == 0)
		(*nremoved_p)++;
	return regular && !dead;
}

/* The pid in "lina-stats-UID-PID-RANDOM"; 0: not such a name. */
static pid_t pid_of(const char *name)
{
	unsigned uid, random;
	int pid, end = 0;

	if (sscanf(name, LINA_STATS_PREFIX "%u-%d-%8x%n", &uid, &pid, &random, &end) != 3)
		return 0;
	return end && name[end] == '\0' && pid > 0 ? pid : 0;
}

static int by_pid(const void *a, const void *b)
{
	pid_t left = ((const struct lina_stats_found *)a)->pid;
	pid_t right = ((const struct lina_stats_found *)b)->pid;

	return (left > right) - (left < right);
}

int lina_stats_find(const char *directory, struct lina_stats_found *found, int max, int *nremoved_p)
{
	DIR *dir = opendir(directory);
	struct dirent *entry;
	int n = 0, nremoved = 0;

	if (!dir)
		return -errno;
	while ((entry = readdir(dir))) {
		pid_t pid = pid_of(entry->d_name);
		if (!pid || pid == getpid() || !is_alive(dirfd(dir), entry->d_name, &nremoved) ||
			n >= max)
			continue;
		int length = snprintf(
			found[n].path, sizeof(found[n].path), "%s/%s", directory, entry->d_name);
		found[n].pid = pid;
		n += length > 0 && (size_t)length < sizeof(found[n].path);
	}
	(void)closedir(dir);
	if (n)
		qsort(found, (size_t)n, sizeof(*found), by_pid);
	*nremoved_p = nremoved;
	return n;
}

/* --- waits --- */

void lina_stats_waits(const struct lina_stats_row *row, const struct lina_stats_row *before,
	uint64_t waits[LINA_STATS_BUCKETS])
{
	for (int i = 0; i < LINA_STATS_BUCKETS; i++) {
		uint64_t now = lina_stats_get(&row->wait[i]);
		uint64_t then = before ? lina_stats_get(&before->wait[i]) : 0;
		waits[i] = now > then ? now - then : 0;
	}
}

uint64_t lina_stats_count(const uint64_t waits[LINA_STATS_BUCKETS])
{
	uint64_t n = 0;

	for (int i = 0; i < LINA_STATS_BUCKETS; i++)
		n += waits[i];
	return n;
}

double lina_stats_quantile_ns(const uint64_t waits[LINA_STATS_BUCKETS], double q)
{
	double rank = q * (double)lina_stats_count(waits), below = 0;

	for (int i = 0; i < LINA_STATS_BUCKETS; i++) {
		double n = (double)waits[i], low = (double)(UINT64_C(1) << i);
		if (n > 0 && below + n >= rank)
			return low + low * (rank - below) / n;
		below += n;
	}
	return 0;
}
