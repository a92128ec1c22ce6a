/* Counters in shared memory: what is counted is what is read, by another process, as long as the
 * first one lives; and nothing that is read is believed. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "plugin/stats_read.h"

enum { FOUND_MAX = 8 };

static char directory[64];

int __real_posix_fallocate(int fd, off_t at, off_t bytes);
int __wrap_posix_fallocate(int fd, off_t at, off_t bytes);

/* Calls that a signal ends, of those to come. */
static int interrupted;

int __wrap_posix_fallocate(int fd, off_t at, off_t bytes)
{
	return interrupted-- > 0 ? EINTR : __real_posix_fallocate(fd, at, bytes);
}

static int make_directory(void **state)
{
	(void)state;
	(void)snprintf(directory, sizeof(directory), "/tmp/lina-counters-XXXXXX");
	return mkdtemp(directory) ? 0 : -1;
}

static int files_count(void)
{
	DIR *dir = opendir(directory);
	int n = -2; /* . and .. */

	assert_non_null(dir);
	while (readdir(dir))
		n++;
	(void)closedir(dir);
	return n;
}

static int remove_directory(void **state)
{
	(void)state;
	return rmdir(directory); /* which tells what was left */
}

/* --- a process with counters --- */

struct owner {
	pid_t pid;
	int until; /* closed: it ends */
};

static void count_some(struct lina_stats *stats)
{
	struct lina_stats_link *link = lina_stats_link(stats, "eth0", LINA_DIR_SEND);
	struct lina_stats_row *row = lina_stats_row(stats, link, LINA_CLASS_BULK, "10.0.0.2");

	lina_stats_set(&link->chunk_bytes, 65536);
	lina_stats_add(&link->holds, 3);
	lina_stats_add(&row->bytes, 1000);
	lina_stats_add(&row->queued_bytes, 77);
	lina_stats_add(&row->wait[lina_stats_bucket(5000)], 2);
}

static void own(int ready, int until)
{
	struct lina_stats *stats;
	char byte = 0;

	if (lina_stats_open(directory, &stats))
		_exit(1);
	count_some(stats);
	if (write(ready, &byte, 1) != 1)
		_exit(1);
	(void)!read(until, &byte, 1);
	lina_stats_close(stats);
	_exit(0);
}

static struct owner owner_start(void)
{
	int ready[2], until[2];
	char byte;

	assert_int_equal(pipe(ready) | pipe(until), 0);
	pid_t pid = fork();
	if (pid == 0) {
		(void)close(until[1]);
		own(ready[1], until[0]);
	}
	assert_true(pid > 0);
	(void)close(ready[1]);
	(void)close(until[0]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	(void)close(ready[0]);
	return (struct owner){ .pid = pid, .until = until[1] };
}

static void owner_end(struct owner owner, int signal)
{
	int status;

	if (signal)
		(void)kill(owner.pid, signal);
	(void)close(owner.until);
	assert_int_equal(waitpid(owner.pid, &status, 0), owner.pid);
	if (!signal)
		assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* --- what another process sees --- */

static void seen_while_it_lives(void **state)
{
	struct lina_stats_found found[FOUND_MAX];
	struct stat st;
	int nremoved;

	(void)state;
	struct owner owner = owner_start();
	assert_int_equal(lina_stats_find(directory, found, FOUND_MAX, &nremoved), 1);
	assert_int_equal(nremoved, 0);
	assert_int_equal(found[0].pid, owner.pid);
	assert_int_equal(stat(found[0].path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	owner_end(owner, 0);
	assert_int_equal(lina_stats_find(directory, found, FOUND_MAX, &nremoved), 0);
	assert_int_equal(files_count(), 0);
}

static void reads_what_was_counted(void **state)
{
	struct lina_stats_found found[FOUND_MAX];
	struct lina_stats_view view;
	int nremoved;
	void *copy;
	size_t bytes;

	(void)state;
	struct owner owner = owner_start();
	assert_int_equal(lina_stats_find(directory, found, FOUND_MAX, &nremoved), 1);
	assert_int_equal(lina_stats_load(found[0].path, &copy, &bytes), 0);
	assert_int_equal(lina_stats_check(copy, bytes, &view), 0);
	assert_int_equal(view.header->pid, owner.pid);
	assert_int_equal(view.nlinks, 1);
	assert_int_equal(view.nrows, 1);
	assert_string_equal(view.links[0].name, "eth0");
	assert_int_equal(lina_stats_get(&view.links[0].holds), 3);
	assert_int_equal(lina_stats_get(&view.links[0].chunk_bytes), 65536);
	assert_string_equal(view.rows[0].peer, "10.0.0.2");
	assert_int_equal(view.rows[0].cls, LINA_CLASS_BULK);
	assert_int_equal(lina_stats_get(&view.rows[0].bytes), 1000);
	assert_int_equal(lina_stats_get(&view.rows[0].queued_bytes), 77);
	assert_int_equal(lina_stats_get(&view.rows[0].wait[12]), 2);
	free(copy);
	owner_end(owner, 0);
}

static void of_a_killed_process_is_removed(void **state)
{
	struct lina_stats_found found[FOUND_MAX];
	int nremoved;

	(void)state;
	struct owner killed = owner_start(), living = owner_start();
	owner_end(killed, SIGKILL);
	assert_int_equal(files_count(), 2);
	assert_int_equal(lina_stats_find(directory, found, FOUND_MAX, &nremoved), 1);
	assert_int_equal(nremoved, 1);
	assert_int_equal(found[0].pid, living.pid);
	assert_int_equal(files_count(), 1);
	owner_end(living, 0);
}

/* Data loaders are forked by the process that trains, and may outlive it. */
static void a_forked_child_does_not_keep_it(void **state)
{
	struct lina_stats_found found[FOUND_MAX];
	int ready[2], nremoved;
	char byte = 0;
	pid_t grandchild;

	(void)state;
	assert_int_equal(pipe(ready), 0);
	pid_t pid = fork();
	if (pid == 0) {
		struct lina_stats *stats;
		if (lina_stats_open(directory, &stats))
			_exit(1);
		grandchild = fork();
		if (grandchild == 0)
			for (;;)
				(void)pause();
		(void)!write(ready[1], &grandchild, sizeof(grandchild));
		(void)kill(getpid(), SIGKILL);
	}
	assert_int_equal(read(ready[0], &grandchild, sizeof(grandchild)), sizeof(grandchild));
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_int_equal(lina_stats_find(directory, found, FOUND_MAX, &nremoved), 0);
	assert_int_equal(nremoved, 1);
	(void)kill(grandchild, SIGKILL);
	(void)close(ready[0]);
	(void)close(ready[1]);
	(void)byte;
}

static void put_file(const char *name, const void *bytes, size_t n, char path[PATH_MAX])
{
	(void)snprintf(path, PATH_MAX, "%s/%s", directory, name);
	int fd = open(path, O_CREAT | O_WRONLY | O_EXCL, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, n), n);
	(void)close(fd);
}

/* What is just being made has neither lock nor magic; what has another name is not ours at all. */
static void unfinished_and_foreign_files_stay(void **state)
{
	static const char *const names[] = { "lina-stats-0-1-00000001", "lina-stats-0-1-00000001x",
		"lina-stats-0-0-00000001", "something" };
	struct lina_stats_found found[FOUND_MAX];
	char path[4][PATH_MAX];
	int nremoved;

	(void)state;
	for (int i = 0; i < 4; i++)
		put_file(names[i], "\0\0", 2, path[i]);
	assert_true(lina_stats_find(directory, found, FOUND_MAX, &nremoved) <= 1);
	assert_int_equal(nremoved, 0);
	for (int i = 0; i < 4; i++)
		assert_int_equal(unlink(path[i]), 0);
}

/* --- tables --- */

static void rows_are_by_link_class_and_peer(void **state)
{
	struct lina_stats *s;

	(void)state;
	assert_int_equal(lina_stats_open(NULL, &s), 0);
	struct lina_stats_link *send = lina_stats_link(s, "eth0", LINA_DIR_SEND);
	struct lina_stats_link *recv = lina_stats_link(s, "eth0", LINA_DIR_RECV);
	assert_ptr_not_equal(send, recv);
	assert_ptr_equal(lina_stats_link(s, "eth0", LINA_DIR_SEND), send);
	struct lina_stats_row *row = lina_stats_row(s, send, LINA_CLASS_BULK, "a");
	assert_ptr_equal(lina_stats_row(s, send, LINA_CLASS_BULK, "a"), row);
	assert_ptr_not_equal(lina_stats_row(s, recv, LINA_CLASS_BULK, "a"), row);
	assert_ptr_not_equal(lina_stats_row(s, send, LINA_CLASS_LATENCY, "a"), row);
	assert_ptr_not_equal(lina_stats_row(s, send, LINA_CLASS_BULK, "b"), row);
	assert_null(lina_stats_row(s, NULL, LINA_CLASS_BULK, "b"));
	lina_stats_close(s);
}

static void full_tables_are_counted(void **state)
{
	struct lina_stats_view view;
	struct lina_stats *s;
	char name[16];
	size_t bytes;

	(void)state;
	assert_int_equal(lina_stats_open(NULL, &s), 0);
	for (int i = 0; i <= LINA_STATS_LINKS_MAX; i++) {
		(void)snprintf(name, sizeof(name), "eth%d", i);
		struct lina_stats_link *link = lina_stats_link(s, name, LINA_DIR_SEND);
		assert_true((link == NULL) == (i == LINA_STATS_LINKS_MAX));
	}
	struct lina_stats_link *first = lina_stats_link(s, "eth0", LINA_DIR_SEND);
	for (int i = 0; i <= LINA_STATS_ROWS_MAX; i++) {
		(void)snprintf(name, sizeof(name), "%d", i);
		struct lina_stats_row *row = lina_stats_row(s, first, LINA_CLASS_BULK, name);
		assert_true((row == NULL) == (i == LINA_STATS_ROWS_MAX));
	}
	void *copy = lina_stats_copy(s, &bytes);
	assert_non_null(copy);
	assert_int_equal(lina_stats_check(copy, bytes, &view), 0);
	assert_int_equal(view.nrows, LINA_STATS_ROWS_MAX);
	assert_int_equal(view.header->nlost, 2);
	free(copy);
	lina_stats_close(s);
}

static void *count_many(void *arg)
{
	struct lina_stats_row *row = arg;

	for (int i = 0; i < 100000; i++)
		lina_stats_add(&row->bytes, 3);
	return NULL;
}

/* A profiler may send the program a signal a thousand times a second. */
static void a_signal_loses_nothing(void **state)
{
	struct lina_stats *s;

	(void)state;
	interrupted = 2;
	assert_int_equal(lina_stats_open(directory, &s), 0);
	interrupted = 2;
	assert_non_null(lina_stats_link(s, "eth0", LINA_DIR_SEND));
	lina_stats_close(s);
}

static void threads_lose_nothing(void **state)
{
	struct lina_stats *s;
	pthread_t thread[2];

	(void)state;
	assert_int_equal(lina_stats_open(NULL, &s), 0);
	struct lina_stats_row *row =
		lina_stats_row(s, lina_stats_link(s, "eth0", LINA_DIR_SEND), LINA_CLASS_BULK, "a");
	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, count_many, row), 0);
	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_join(thread[i], NULL), 0);
	assert_int_equal(lina_stats_get(&row->bytes), 600000);
	lina_stats_close(s);
}

static void no_place_is_an_error(void **state)
{
	struct lina_stats *s = NULL;

	(void)state;
	assert_int_equal(lina_stats_open("/nonexistent", &s), -ENOENT);
	assert_null(s);
	lina_stats_close(NULL);
}

/* --- bytes that lie --- */

static void *segment(size_t *bytes_p)
{
	struct lina_stats *s;

	assert_int_equal(lina_stats_open(NULL, &s), 0);
	count_some(s);
	void *copy = lina_stats_copy(s, bytes_p);
	assert_non_null(copy);
	lina_stats_close(s);
	return copy;
}

static struct lina_stats_link *links_of(void *copy)
{
	return (struct lina_stats_link *)((struct lina_stats_header *)copy + 1);
}

static struct lina_stats_row *rows_of(void *copy)
{
	return (struct lina_stats_row *)(links_of(copy) + LINA_STATS_LINKS_MAX);
}

static void refused(int err, void (*spoil)(struct lina_stats_header *, struct lina_stats_link *,
				     struct lina_stats_row *))
{
	struct lina_stats_view view = { .nrows = 12345 };
	size_t bytes;
	void *copy = segment(&bytes);

	assert_int_equal(lina_stats_check(copy, bytes, &view), 0);
	view.nrows = 12345;
	spoil(copy, links_of(copy), rows_of(copy));
	assert_int_equal(lina_stats_check(copy, bytes, &view), err);
	assert_int_equal(view.nrows, 12345);
	free(copy);
}

#define SPOIL(name, statement)                                                                    \
	static void name(                                                                         \
		struct lina_stats_header *h, struct lina_stats_link *l, struct lina_stats_row *r) \
	{                                                                                         \
		(void)h, (void)l, (void)r;                                                        \
		statement;                                                                        \
	}
SPOIL(no_magic, h->magic = 0)
SPOIL(other_magic, h->magic++)
SPOIL(other_version, h->version++)
SPOIL(other_rows, h->row_bytes += 8)
SPOIL(many_links, h->nlinks_max = LINA_STATS_LINKS_MAX + 1)
SPOIL(many_rows, h->nrows_max = UINT32_MAX)
SPOIL(more_than_many, h->nrows = h->nrows_max + 1)
SPOIL(more_than_there, h->nrows++)
SPOIL(row_without_link, r->link = 1)
SPOIL(row_without_class, r->cls = LINA_NCLASSES)
SPOIL(link_without_direction, l->dir = LINA_NDIRS)

static void lies_are_refused(void **state)
{
	(void)state;
	refused(-EPROTO, no_magic);
	refused(-EPROTO, other_magic);
	refused(-EPROTONOSUPPORT, other_version);
	refused(-EPROTO, other_rows);
	refused(-EPROTO, many_links);
	refused(-EPROTO, many_rows);
	refused(-EPROTO, more_than_many);
	refused(-EPROTO, more_than_there);
	refused(-EPROTO, row_without_link);
	refused(-EPROTO, row_without_class);
	refused(-EPROTO, link_without_direction);
}

static void every_length_but_the_whole_is_refused(void **state)
{
	struct lina_stats_view view;
	size_t bytes;

	(void)state;
	void *copy = segment(&bytes);
	for (size_t n = 0; n < bytes; n += n + 8 < bytes ? 8 : 1)
		assert_int_equal(lina_stats_check(copy, n, &view), -EPROTO);
	free(copy);
}

static void texts_are_mended(void **state)
{
	struct lina_stats_view view;
	size_t bytes;

	(void)state;
	void *copy = segment(&bytes);
	memset(rows_of(copy)->peer, 'x', LINA_STATS_NAME_BYTES);
	memcpy(links_of(copy)->name, "e\033[2J\n\xff", 8);
	assert_int_equal(lina_stats_check(copy, bytes, &view), 0);
	assert_int_equal(strlen(view.rows[0].peer), LINA_STATS_NAME_BYTES - 1);
	assert_string_equal(view.links[0].name, "e?[2J??");
	free(copy);
}

/* --- waits --- */

static void buckets_double(void **state)
{
	(void)state;
	assert_int_equal(lina_stats_bucket(0), 0);
	assert_int_equal(lina_stats_bucket(1), 0);
	assert_int_equal(lina_stats_bucket(2), 1);
	assert_int_equal(lina_stats_bucket(1023), 9);
	assert_int_equal(lina_stats_bucket(1024), 10);
	assert_int_equal(lina_stats_bucket(UINT64_MAX), LINA_STATS_BUCKETS - 1);
}

static void quantiles_lie_in_their_bucket(void **state)
{
	uint64_t waits[LINA_STATS_BUCKETS] = { 0 };

	(void)state;
	assert_true(lina_stats_quantile_ns(waits, 0.5) == 0);
	waits[10] = 98; /* 1024 to 2048 ns */
	waits[20] = 2;
	assert_int_equal(lina_stats_count(waits), 100);
	assert_true(lina_stats_quantile_ns(waits, 0.49) == 1024 + 512);
	assert_true(lina_stats_quantile_ns(waits, 0.98) == 2048);
	assert_true(lina_stats_quantile_ns(waits, 0.99) == (1 << 20) + (1 << 19));
	assert_true(lina_stats_quantile_ns(waits, 1) == 1 << 21);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(seen_while_it_lives),
		cmocka_unit_test(reads_what_was_counted),
		cmocka_unit_test(of_a_killed_process_is_removed),
		cmocka_unit_test(a_forked_child_does_not_keep_it),
		cmocka_unit_test(unfinished_and_foreign_files_stay),
		cmocka_unit_test(rows_are_by_link_class_and_peer),
		cmocka_unit_test(full_tables_are_counted),
		cmocka_unit_test(a_signal_loses_nothing),
		cmocka_unit_test(threads_lose_nothing),
		cmocka_unit_test(no_place_is_an_error),
		cmocka_unit_test(lies_are_refused),
		cmocka_unit_test(every_length_but_the_whole_is_refused),
		cmocka_unit_test(texts_are_mended),
		cmocka_unit_test(buckets_double),
		cmocka_unit_test(quantiles_lie_in_their_bucket),
	};

	return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
