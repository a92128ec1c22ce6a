/* What may be found under the name of a segment, and what is done with it. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "share_case.h"

enum { SEEDS = 200, SCRIBBLES = 3000, NOBODY = 65534 };

typedef struct lina_share_segment segment;

static void refused(int want)
{
	struct lina_share *share = (void *)&share;

	log_forget();
	int err = lina_share_open(share_link(), &share);
	if (err != want)
		fail_msg("%d instead of %d: %s", err, want, log_text());
	assert_ptr_equal(share, &share);
	assert_int_equal(log_warnings(), 1);
	assert_true(log_says(share_path()));
}

static void random_fill(void *bytes, size_t n, uint64_t *random)
{
	uint8_t *p = bytes;

	for (size_t i = 0; i < n; i++)
		p[i] = (uint8_t)(random_next(random) >> 32);
}

static void file_is(const void *bytes, size_t n)
{
	uint8_t *there = malloc(n + 1);
	int fd = open(share_path(), O_RDONLY | O_CLOEXEC);

	assert_non_null(there);
	assert_in_range(fd, 0, INT32_MAX);
	assert_int_equal(read(fd, there, n + 1), n);
	assert_memory_equal(there, bytes, n);
	(void)close(fd);
	free(there);
}

/* --- whose it is --- */

static void other_permissions_are_refused(void **state)
{
	static const mode_t modes[] = { 0400, 0604, 0606, 0640, 0660, 0666, 0700, 0777, 01600,
		04600 };
	const segment good = share_segment_good();

	(void)state;
	share_file_write(&good, sizeof(good));
	for (size_t i = 0; i < sizeof(modes) / sizeof(*modes); i++) {
		assert_int_equal(chmod(share_path(), modes[i]), 0);
		refused(-EPERM);
		assert_true(log_says("another user's"));
	}
	file_is(&good, sizeof(good));
	assert_int_equal(chmod(share_path(), 0600), 0);
	lina_share_close(share_open());
}

static void other_owners_are_refused(void **state)
{
	const segment good = share_segment_good();

	(void)state;
	share_file_write(&good, sizeof(good));
	if (chown(share_path(), geteuid() + 1, (gid_t)-1)) {
		(void)unlink(share_path());
		print_message("skipped: nobody but root gives files away\n");
		skip();
	}
	refused(-EPERM);
	file_is(&good, sizeof(good));
	assert_int_equal(unlink(share_path()), 0);
}

/* Another user was there first, and this one cannot so much as open it. */
static void a_name_that_is_taken_is_refused(void **state)
{
	const segment good = share_segment_good();

	(void)state;
	if (geteuid() != 0 || seteuid(NOBODY)) {
		print_message("skipped: nobody but root can be two users\n");
		skip();
	}
	(void)share_setup(NULL); /* the name is another user's too */
	assert_int_equal(seteuid(0), 0);
	share_file_write(&good, sizeof(good));
	assert_int_equal(seteuid(NOBODY), 0);
	refused(-EPERM);
	assert_int_equal(seteuid(0), 0);
	file_is(&good, sizeof(good));
	assert_int_equal(unlink(share_path()), 0);
}

static void other_kinds_of_files_are_refused(void **state)
{
	struct stat st;
	char target[512];

	(void)state;
	(void)snprintf(target, sizeof(target), "%s.target", share_path());
	assert_int_equal(symlink(target, share_path()), 0);
	refused(-EPERM);
	assert_int_equal(lstat(target, &st), -1); /* nothing was made through it */
	assert_int_equal(unlink(share_path()), 0);
	assert_int_equal(mkfifo(share_path(), 0600), 0);
	refused(-EPERM);
	assert_int_equal(unlink(share_path()), 0);
	assert_int_equal(mkdir(share_path(), 0700), 0);
	refused(-EPERM);
	assert_int_equal(rmdir(share_path()), 0);
}

static void the_umask_takes_nothing_from_us(void **state)
{
	mode_t before = umask(0777);
	struct lina_share *a = share_open(), *b = share_open();

	(void)state;
	(void)umask(before);
	lina_share_close(a);
	lina_share_close(b);
}

/* --- what is in it --- */

static void content_that_is_not_ours_is_left_alone(void **state)
{
	uint64_t random = 1;
	segment s;

	(void)state;
	for (int i = 0; i < SEEDS; i++) {
		random_fill(&s, sizeof(s), &random);
		share_file_write(&s, sizeof(s));
		refused(-EPROTO);
		assert_true(log_says("not ours"));
		file_is(&s, sizeof(s));
	}
	assert_int_equal(unlink(share_path()), 0);
}

static void header_is_refused(const segment *s)
{
	share_file_write(s, sizeof(*s));
	refused(-EPROTO);
	file_is(s, sizeof(*s));
	assert_int_equal(unlink(share_path()), 0);
}

static void every_field_of_the_header_counts(void **state)
{
	segment s = share_segment_good();

	(void)state;
	for (unsigned bit = 0; bit < 64; bit++) {
		s.header.magic = LINA_SHARE_MAGIC ^ UINT64_C(1) << bit;
		header_is_refused(&s);
	}
	s = share_segment_good();
	s.header.version++;
	header_is_refused(&s);
	s = share_segment_good();
	s.header.bytes += 64;
	header_is_refused(&s);
	s = share_segment_good();
	s.header.nslots = UINT32_MAX;
	header_is_refused(&s);
	s = share_segment_good();
	s.header.slot_bytes = 0;
	header_is_refused(&s);
}

static void every_other_size_is_refused(void **state)
{
	static const size_t sizes[] = { 1, sizeof(struct lina_share_header), sizeof(segment) - 1,
		sizeof(segment) + 1, 4096, 1 << 20 };
	uint8_t *bytes = calloc(1, 1 << 20);
	const segment good = share_segment_good();

	(void)state;
	assert_non_null(bytes);
	memcpy(bytes, &good, sizeof(good));
	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		share_file_write(bytes, sizes[i]);
		refused(-EPROTO);
		file_is(bytes, sizes[i]);
	}
	assert_int_equal(unlink(share_path()), 0);
	free(bytes);
}

/* As far as a maker came before it was killed. */
static void half_made_files_are_finished(void **state)
{
	segment s = { 0 };

	(void)state;
	for (int i = 0; i < 3; i++) {
		if (i == 2)
			s.header.version = LINA_SHARE_VERSION;
		share_file_write(&s, i == 0 ? 0 : sizeof(s));
		struct lina_share *a = share_open(), *b = share_open();
		lina_share_tell(a, 0, 3);
		assert_int_equal(lina_share_bulk_flows(b, share_now_ns()), 3);
		lina_share_close(a);
		lina_share_close(b);
		assert_false(share_file_exists());
	}
}

/* What the dead said is nothing to the first who comes after them, whatever it is. */
static void the_first_one_starts_anew(void **state)
{
	segment s = share_segment_good();

	(void)state;
	s.header.used = 3;
	for (int i = 0; i < LINA_SHARE_SLOTS; i++) {
		s.slot[i].told_ns = share_now_ns();
		s.slot[i].latency_until_ns = UINT64_MAX;
		s.slot[i].bulk_flows = UINT32_MAX;
	}
	share_file_write(&s, sizeof(s));
	struct lina_share *a = share_open();
	assert_int_equal(lina_share_latency_until_ns(a, share_now_ns(), 5), 0);
	assert_int_equal(lina_share_bulk_flows(a, share_now_ns()), 0);
	struct lina_share *b = share_open();
	assert_int_equal(lina_share_bulk_flows(a, share_now_ns()), 0);
	lina_share_close(a);
	lina_share_close(b);
}

static void read_is_bounded(const struct lina_share *share, uint64_t now, uint64_t ahead)
{
	uint64_t until = lina_share_latency_until_ns(share, now, ahead);

	assert_true(until == 0 || (until > now && until - now <= ahead));
	assert_in_range(lina_share_bulk_flows(share, now), 0,
		(LINA_SHARE_SLOTS - 1) * LINA_SHARE_FLOWS_MAX);
}

/* A time that is told is now, or any, as the one or other bound is to be tried. */
static void scribble(segment *s, uint64_t *random)
{
	size_t at = sizeof(s->header) +
		    (size_t)(random_next(random) % (sizeof(*s) - sizeof(s->header) - 64));

	random_fill((uint8_t *)s + at, 64, random);
	s->header.used = (uint32_t)(random_next(random) >> 32);
	for (int i = 0; i < LINA_SHARE_SLOTS; i += 2)
		s->slot[i].told_ns = share_now_ns();
}

static void garbage_under_its_owners_is_harmless(void **state)
{
	struct lina_share *a = share_open(), *b = share_open();
	int fd = open(share_path(), O_WRONLY | O_CLOEXEC);
	segment s = share_segment_good();
	uint64_t random = 7;

	(void)state;
	assert_in_range(fd, 0, INT32_MAX);
	for (int i = 0; i < SCRIBBLES; i++) {
		scribble(&s, &random);
		assert_int_equal(pwrite(fd, &s, sizeof(s), 0), sizeof(s));
		read_is_bounded(a, share_now_ns(), random_next(&random) >> (i % 64));
		lina_share_tell(b, share_now_ns() + 5, 1);
		read_is_bounded(b, random_next(&random), 5);
	}
	random_fill(&s, sizeof(s), &random);
	assert_int_equal(pwrite(fd, &s, sizeof(s), 0), sizeof(s));
	(void)close(fd);
	read_is_bounded(a, share_now_ns(), 5);
	refused(-EPROTO);
	lina_share_close(a);
	lina_share_close(b);
}

/* --- who stands in the gate --- */

static void who_stands_in_the_gate_stops_nobody_for_long(void **state)
{
	struct lina_share *a = share_open(), *b = share_open();
	int fd = open(share_path(), O_RDWR | O_CLOEXEC);
	struct flock gate = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1 };

	(void)state;
	assert_in_range(fd, 0, INT32_MAX);
	assert_int_equal(fcntl(fd, F_OFD_SETLK, &gate), 0);
	refused(-ETIMEDOUT);
	lina_share_tell(a, 0, 2);
	assert_int_equal(lina_share_bulk_flows(b, share_now_ns()), 2);
	lina_share_close(a);
	assert_int_equal(lina_share_bulk_flows(b, share_now_ns()), 0);
	(void)close(fd);
	assert_int_equal(share_slots_free(), LINA_SHARE_SLOTS - 1);
	lina_share_close(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SHARE_CASE(other_permissions_are_refused),
		SHARE_CASE(other_owners_are_refused),
		SHARE_CASE(a_name_that_is_taken_is_refused),
		SHARE_CASE(other_kinds_of_files_are_refused),
		SHARE_CASE(the_umask_takes_nothing_from_us),
		SHARE_CASE(content_that_is_not_ours_is_left_alone),
		SHARE_CASE(every_field_of_the_header_counts),
		SHARE_CASE(every_other_size_is_refused),
		SHARE_CASE(half_made_files_are_finished),
		SHARE_CASE(the_first_one_starts_anew),
		SHARE_CASE(garbage_under_its_owners_is_harmless),
		SHARE_CASE(who_stands_in_the_gate_stops_nobody_for_long),
	};

	return cmocka_run_group_tests_name("share_file", tests, NULL, NULL);
}
