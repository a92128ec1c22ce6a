#include "plugin/stats.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

_Static_assert(sizeof(struct lina_stats_header) % sizeof(uint64_t) == 0 &&
		       sizeof(struct lina_stats_link) % sizeof(uint64_t) == 0 &&
		       sizeof(struct lina_stats_row) % sizeof(uint64_t) == 0,
	"the segment is made of words");

struct lina_stats {
	int fd; /* -1: nobody else sees the segment. Open as long as the process holds its lock */
	char path[PATH_MAX];
	size_t bytes;
	pthread_mutex_t lock; /* of set-up; counting takes none */
	struct lina_stats_header *header;
	struct lina_stats_link *links;
	struct lina_stats_row *rows;
};

static const size_t segment_bytes = sizeof(struct lina_stats_header) +
				    LINA_STATS_LINKS_MAX * sizeof(struct lina_stats_link) +
				    LINA_STATS_ROWS_MAX * sizeof(struct lina_stats_row);

/* A record lock rather than flock(): a child that this process forks does not hold it, so that it
 * ends with the process itself. */
static int lock_take(int fd)
{
	const struct flock whole = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

	return fcntl(fd, F_SETLK, &whole) ? -errno : 0;
}

/* The random part keeps processes of the same number apart where containers share the directory. */
static int file_make(struct lina_stats *s, const char *directory)
{
	uint32_t random;

	if (getrandom(&random, sizeof(random), 0) != sizeof(random))
		return -EIO;
	int n = snprintf(s->path, sizeof(s->path), "%s/" LINA_STATS_PREFIX "%u-%d-%08" PRIx32,
		directory, (unsigned)geteuid(), (int)getpid(), random);
	if (n < 0 || (size_t)n >= sizeof(s->path))
		return -ENAMETOOLONG;
	s->fd = open(s->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	return s->fd < 0 ? -errno : 0;
}

/* A signal ends it early, which a profiler may send all the time. */
static int allocate(int fd, off_t at, size_t bytes)
{
	int err;

	while ((err = posix_fallocate(fd, at, (off_t)bytes)) == EINTR)
		;
	return -err;
}

/* A page that is only promised kills the process that writes to it when there is no memory left;
 * so what is written to is reserved first. */
static int reserve(const struct lina_stats *s, const void *from, size_t bytes)
{
	off_t at = (const char *)from - (const char *)s->header;

	return s->fd < 0 ? 0 : allocate(s->fd, at, bytes);
}

static int file_prepare(struct lina_stats *s)
{
	int err = lock_take(s->fd);

	if (!err && ftruncate(s->fd, (off_t)s->bytes))
		err = -errno;
	return err ? err : allocate(s->fd, 0, sizeof(*s->header));
}

static int map(struct lina_stats *s)
{
	int flags = s->fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED;
	void *at = mmap(NULL, s->bytes, PROT_READ | PROT_WRITE, flags, s->fd, 0);

	if (at == MAP_FAILED)
		return -errno;
	s->header = at;
	s->links = (struct lina_stats_link *)(s->header + 1);
	s->rows = (struct lina_stats_row *)(s->links + LINA_STATS_LINKS_MAX);
	return 0;
}

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void name_set(char *name, const char *text)
{
	size_t n = strnlen(text, LINA_STATS_NAME_BYTES - 1);

	memcpy(name, text, n);
	name[n] = '\0';
}

static void header_fill(struct lina_stats_header *h)
{
	h->version = LINA_STATS_VERSION;
	h->header_bytes = sizeof(*h);
	h->link_bytes = sizeof(struct lina_stats_link);
	h->row_bytes = sizeof(struct lina_stats_row);
	h->nlinks_max = LINA_STATS_LINKS_MAX;
	h->nrows_max = LINA_STATS_ROWS_MAX;
	h->pid = (uint32_t)getpid();
	h->opened_ns = now_ns();
	name_set(h->program, program_invocation_short_name);
	atomic_store_explicit(&h->magic, LINA_STATS_MAGIC, memory_order_release);
}

static void file_remove(struct lina_stats *s)
{
	if (s->fd < 0)
		return;
	(void)unlink(s->path);
	(void)close(s->fd);
}

int lina_stats_open(const char *directory, struct lina_stats **stats_p)
{
	struct lina_stats *s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	s->fd = -1;
	s->bytes = segment_bytes;
	int err = directory ? file_make(s, directory) : 0;
	if (!err && directory)
		err = file_prepare(s);
	if (!err)
		err = map(s);
	if (err) {
		file_remove(s);
		free(s);
		return err;
	}
	pthread_mutex_init(&s->lock, NULL);
	header_fill(s->header);
	*stats_p = s;
	return 0;
}

void lina_stats_unlink(const struct lina_stats *stats)
{
	if (stats->fd >= 0)
		(void)unlink(stats->path);
}

void lina_stats_close(struct lina_stats *stats)
{
	if (!stats)
		return;
	file_remove(stats);
	(void)munmap(stats->header, stats->bytes);
	pthread_mutex_destroy(&stats->lock);
	free(stats);
}

/* --- rows. Under the lock --- */

static bool name_is(const char *name, const char *text)
{
	return strncmp(name, text, LINA_STATS_NAME_BYTES - 1) == 0;
}

static struct lina_stats_link *link_find(
	const struct lina_stats *s, const char *name, enum lina_dir dir)
{
	for (uint32_t i = 0; i < s->header->nlinks; i++)
		if (s->links[i].dir == (uint32_t)dir && name_is(s->links[i].name, name))
			return &s->links[i];
	return NULL;
}

static struct lina_stats_link *link_add(struct lina_stats *s, const char *name, enum lina_dir dir)
{
	struct lina_stats_link *link = &s->links[s->header->nlinks];

	if (s->header->nlinks == LINA_STATS_LINKS_MAX || reserve(s, link, sizeof(*link))) {
		s->header->nlost++;
		return NULL;
	}
	name_set(link->name, name);
	link->dir = (uint32_t)dir;
	atomic_fetch_add_explicit(&s->header->nlinks, 1, memory_order_release);
	return link;
}

struct lina_stats_link *lina_stats_link(
	struct lina_stats *stats, const char *name, enum lina_dir dir)
{
	pthread_mutex_lock(&stats->lock);
	struct lina_stats_link *link = link_find(stats, name, dir);
	if (!link)
		link = link_add(stats, name, dir);
	pthread_mutex_unlock(&stats->lock);
	return link;
}

static struct lina_stats_row *row_find(
	const struct lina_stats *s, uint32_t link, enum lina_class cls, const char *peer)
{
	for (uint32_t i = 0; i < s->header->nrows; i++) {
		struct lina_stats_row *row = &s->rows[i];
		if (row->link == link && row->cls == (uint32_t)cls && name_is(row->peer, peer))
			return row;
	}
	return NULL;
}

static struct lina_stats_row *row_add(
	struct lina_stats *s, uint32_t link, enum lina_class cls, const char *peer)
{
	struct lina_stats_row *row = &s->rows[s->header->nrows];

	if (s->header->nrows == LINA_STATS_ROWS_MAX || reserve(s, row, sizeof(*row))) {
		s->header->nlost++;
		return NULL;
	}
	row->link = link;
	row->cls = (uint32_t)cls;
	name_set(row->peer, peer);
	atomic_fetch_add_explicit(&s->header->nrows, 1, memory_order_release);
	return row;
}

struct lina_stats_row *lina_stats_row(struct lina_stats *stats, const struct lina_stats_link *link,
	enum lina_class cls, const char *peer)
{
	if (!link)
		return NULL;
	uint32_t at = (uint32_t)(link - stats->links);
	pthread_mutex_lock(&stats->lock);
	struct lina_stats_row *row = row_find(stats, at, cls, peer);
	if (!row)
		row = row_add(stats, at, cls, peer);
	pthread_mutex_unlock(&stats->lock);
	return row;
}

/* What is counted meanwhile is read as it is written: a word at a time. */
static void words_copy(uint64_t *to, const void *from, size_t bytes)
{
	const _Atomic uint64_t *words = from;

	for (size_t i = 0; i < bytes / sizeof(*to); i++)
		to[i] = atomic_load_explicit(&words[i], memory_order_relaxed);
}

/* Only what is in use, so that no page comes to life by being read. */
void *lina_stats_copy(struct lina_stats *stats, size_t *bytes_p)
{
	pthread_mutex_lock(&stats->lock); /* no row is made meanwhile */
	size_t bytes = (size_t)((const char *)(stats->rows + stats->header->nrows) -
				(const char *)stats->header);
	void *copy = malloc(bytes);
	if (copy)
		words_copy(copy, stats->header, bytes);
	pthread_mutex_unlock(&stats->lock);
	*bytes_p = bytes;
	return copy;
}
