/* What processes that share a link hear of each other: here, of several shares in one process. */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "plugin/log.h"
#include "share_case.h"

enum { NTHREADS = 4, ROUNDS = 20000 };

static void sees_others_and_not_itself(void **state)
{
	struct lina_share *a = share_open(), *b = share_open(), *c = share_open();
	const uint64_t now = share_now_ns();

	(void)state;
	assert_int_equal(lina_share_latency_until_ns(a, now, SECOND_NS), 0);
	assert_int_equal(lina_share_bulk_flows(a, now), 0);
	lina_share_tell(a, now + 300, 3);
	assert_int_equal(lina_share_latency_until_ns(a, now, SECOND_NS), 0);
	assert_int_equal(lina_share_bulk_flows(a, now), 0);
	lina_share_tell(b, now + 500, 0);
	lina_share_tell(c, 0, 9);
	assert_int_equal(lina_share_latency_until_ns(a, now, SECOND_NS), now + 500);
	assert_int_equal(lina_share_latency_until_ns(b, now, SECOND_NS), now + 300);
	assert_int_equal(lina_share_latency_until_ns(c, now, SECOND_NS), now + 500);
	assert_int_equal(lina_share_bulk_flows(a, now), 9);
	assert_int_equal(lina_share_bulk_flows(b, now), 12);
	assert_int_equal(lina_share_bulk_flows(c, now), 3);
	lina_share_tell(b, 0, 0);
	assert_int_equal(lina_share_latency_until_ns(a, now, SECOND_NS), 0);
	lina_share_close(a);
	assert_int_equal(lina_share_latency_until_ns(c, now, SECOND_NS), 0);
	assert_int_equal(lina_share_bulk_flows(b, now), 9);
	lina_share_close(c);
	lina_share_close(b);
	assert_int_equal(log_warnings(), 0);
}

/* Who takes the slot of one that has gone begins anew. */
static void what_has_left_is_that_of_others(void **state)
{
	struct lina_share *a = share_open(), *b = share_open(), *c = share_open();

	(void)state;
	lina_share_left(b, 300);
	lina_share_left(c, 20);
	lina_share_left(c, 1);
	assert_int_equal(lina_share_left_bytes(a), 321);
	assert_int_equal(lina_share_left_bytes(b), 21);
	lina_share_close(b);
	b = share_open();
	assert_int_equal(lina_share_left_bytes(a), 21);
	lina_share_left(b, 7);
	assert_int_equal(lina_share_left_bytes(a), 28);
	assert_int_equal(lina_share_left_bytes(NULL), 0);
	lina_share_left(NULL, 7);
	lina_share_close(a);
	lina_share_close(b);
	lina_share_close(c);
}

static void times_are_cut(void **state)
{
	struct lina_share *a = share_open(), *b = share_open();
	const uint64_t now = share_now_ns();

	(void)state;
	lina_share_tell(a, now + 1000, 0);
	assert_int_equal(lina_share_latency_until_ns(b, now, 1001), now + 1000);
	assert_int_equal(lina_share_latency_until_ns(b, now, 400), now + 400);
	assert_int_equal(lina_share_latency_until_ns(b, now, UINT64_MAX), now + 1000);
	assert_int_equal(lina_share_latency_until_ns(b, now + 999, SECOND_NS), now + 1000);
	assert_int_equal(lina_share_latency_until_ns(b, now + 1000, SECOND_NS), 0);
	lina_share_tell(a, UINT64_MAX, UINT32_MAX);
	assert_int_equal(lina_share_latency_until_ns(b, now, 400), now + 400);
	assert_int_equal(lina_share_bulk_flows(b, now), LINA_SHARE_FLOWS_MAX);
	lina_share_close(a);
	lina_share_close(b);
}

static void what_is_told_ends_by_itself(void **state)
{
	struct lina_share *a = share_open(), *b = share_open();
	const uint64_t before = share_now_ns();

	(void)state;
	lina_share_tell(a, UINT64_MAX, 5);
	const uint64_t after = share_now_ns();
	/* The coarse clock is behind by a tick, 10 ms at most. */
	const uint64_t last = before - SECOND_NS / 100 + LINA_SHARE_LEASE_NS;
	assert_int_equal(lina_share_bulk_flows(b, last), 5);
	assert_int_equal(lina_share_latency_until_ns(b, last, 7), last + 7);
	assert_int_equal(lina_share_bulk_flows(b, after + LINA_SHARE_LEASE_NS + 1), 0);
	assert_int_equal(
		lina_share_latency_until_ns(b, after + LINA_SHARE_LEASE_NS + 1, SECOND_NS), 0);
	lina_share_tell(a, UINT64_MAX, 5); /* the same once more is a new lease */
	assert_int_equal(lina_share_bulk_flows(b, share_now_ns()), 5);
	lina_share_close(a);
	lina_share_close(b);
}

/* The same values again: only a later time may be new. */
static void telling_the_same_renews_the_lease(void **state)
{
	struct lina_share *a = share_open(), *b = share_open();

	(void)state;
	lina_share_tell(a, 0, 5);
	const uint64_t told = share_now_ns();
	while (share_now_ns() < told + SECOND_NS / 20)
		sleep_ms(5);
	assert_int_equal(lina_share_bulk_flows(b, told + LINA_SHARE_LEASE_NS + 1), 0);
	lina_share_tell(a, 0, 5);
	assert_int_equal(lina_share_bulk_flows(b, told + LINA_SHARE_LEASE_NS + 1), 5);
	lina_share_close(a);
	lina_share_close(b);
}

static void no_share_is_to_be_alone(void **state)
{
	(void)state;
	lina_share_tell(NULL, UINT64_MAX, 1);
	assert_int_equal(lina_share_latency_until_ns(NULL, 1, 1), 0);
	assert_int_equal(lina_share_bulk_flows(NULL, 1), 0);
	lina_share_close(NULL);
}

static void links_are_apart(void **state)
{
	struct lina_share *a = share_open(), *b;
	char other[64];

	(void)state;
	(void)snprintf(other, sizeof(other), "%s.7", share_link());
	assert_int_equal(lina_share_open(other, &b), 0);
	lina_share_tell(a, UINT64_MAX, 5);
	assert_int_equal(lina_share_bulk_flows(b, share_now_ns()), 0);
	lina_share_close(a);
	lina_share_close(b);
}

static void the_name_says_whose_it_is(void **state)
{
	char part[64];
	struct stat st;

	(void)state;
	assert_int_equal(stat("/proc/self/ns/net", &st), 0);
	(void)snprintf(part, sizeof(part), "-u%ju-n%ju-%s", (uintmax_t)geteuid(),
		(uintmax_t)st.st_ino, share_link());
	assert_non_null(strstr(share_path(), part));
	struct lina_share *a = share_open();
	assert_int_equal(stat(share_path(), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(st.st_uid, geteuid());
	assert_int_equal(st.st_size, sizeof(struct lina_share_segment));
	lina_share_close(a);
}

static void names_that_are_none(void **state)
{
	struct lina_share *share = (void *)&share;
	char longest[LINA_SHARE_NAME_BYTES + 1];

	(void)state;
	memset(longest, 'x', sizeof(longest));
	longest[LINA_SHARE_NAME_BYTES] = '\0';
	assert_int_equal(lina_share_open("", &share), -EINVAL);
	assert_int_equal(lina_share_open("../x", &share), -EINVAL);
	assert_int_equal(lina_share_open(longest, &share), -EINVAL);
	assert_ptr_equal(share, &share);
	assert_int_equal(log_warnings(), 3);
}

static void slots_come_to_an_end(void **state)
{
	struct lina_share *all[LINA_SHARE_SLOTS], *more = NULL;

	(void)state;
	for (int i = 0; i < LINA_SHARE_SLOTS; i++)
		all[i] = share_open();
	assert_int_equal(lina_share_open(share_link(), &more), -ENOSPC);
	assert_null(more);
	assert_int_equal(log_warnings(), 1);
	assert_true(log_says(share_path()) && log_says("no room"));
	for (int i = 0; i < LINA_SHARE_SLOTS; i++)
		lina_share_tell(all[i], 0, UINT32_MAX);
	assert_int_equal(lina_share_bulk_flows(all[1], share_now_ns()),
		(LINA_SHARE_SLOTS - 1) * LINA_SHARE_FLOWS_MAX);
	lina_share_close(all[17]);
	all[17] = share_open();
	assert_int_equal(lina_share_bulk_flows(all[17], share_now_ns()),
		(LINA_SHARE_SLOTS - 1) * LINA_SHARE_FLOWS_MAX);
	assert_int_equal(lina_share_bulk_flows(all[1], share_now_ns()),
		(LINA_SHARE_SLOTS - 2) * LINA_SHARE_FLOWS_MAX);
	for (int i = 0; i < LINA_SHARE_SLOTS; i++)
		lina_share_close(all[i]);
}

static void the_last_one_removes_the_file(void **state)
{
	struct lina_share *a = share_open(), *b = share_open();

	(void)state;
	assert_true(share_file_exists());
	lina_share_close(a);
	assert_true(share_file_exists());
	a = share_open();
	lina_share_close(b);
	assert_true(share_file_exists());
	lina_share_close(a);
	assert_false(share_file_exists());
}

/* A file that is another's by now, of the same name, is not the last one's to remove. */
static void a_file_that_is_not_ours_any_more_stays(void **state)
{
	struct lina_share *a = share_open();
	const char text[] = "other";
	struct stat st;

	(void)state;
	share_file_write(text, sizeof(text));
	lina_share_close(a);
	assert_int_equal(stat(share_path(), &st), 0);
	assert_int_equal(st.st_size, sizeof(text));
	assert_int_equal(unlink(share_path()), 0);
}

/* --- threads --- */

struct pair_of_shares {
	struct lina_share *told, *read;
};

static void *tells(void *arg)
{
	struct pair_of_shares *shares = arg;

	for (uint32_t i = 0; i < ROUNDS; i++)
		lina_share_tell(shares->told, i % 2 ? UINT64_MAX : 0, 1 + i % 7);
	return NULL;
}

static void *reads(void *arg)
{
	struct pair_of_shares *shares = arg;

	for (uint32_t i = 0; i < ROUNDS; i++) {
		const uint64_t now = share_now_ns();
		uint64_t until = lina_share_latency_until_ns(shares->read, now, 100);
		if ((until && until != now + 100) || lina_share_bulk_flows(shares->read, now) > 7)
			die("nobody told that");
	}
	return NULL;
}

static void threads_tell_and_read(void **state)
{
	struct pair_of_shares shares = { share_open(), share_open() };
	pthread_t thread[2 * NTHREADS];

	(void)state;
	for (int i = 0; i < 2 * NTHREADS; i++)
		assert_int_equal(
			pthread_create(&thread[i], NULL, i % 2 ? tells : reads, &shares), 0);
	for (int i = 0; i < 2 * NTHREADS; i++)
		assert_int_equal(pthread_join(thread[i], NULL), 0);
	lina_share_tell(shares.told, 0, 4);
	assert_int_equal(lina_share_bulk_flows(shares.read, share_now_ns()), 4);
	lina_share_close(shares.told);
	lina_share_close(shares.read);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SHARE_CASE(sees_others_and_not_itself),
		SHARE_CASE(what_has_left_is_that_of_others),
		SHARE_CASE(times_are_cut),
		SHARE_CASE(what_is_told_ends_by_itself),
		SHARE_CASE(telling_the_same_renews_the_lease),
		SHARE_CASE(no_share_is_to_be_alone),
		SHARE_CASE(links_are_apart),
		SHARE_CASE(the_name_says_whose_it_is),
		SHARE_CASE(names_that_are_none),
		SHARE_CASE(slots_come_to_an_end),
		SHARE_CASE(the_last_one_removes_the_file),
		SHARE_CASE(a_file_that_is_not_ours_any_more_stays),
		SHARE_CASE(threads_tell_and_read),
	};

	return cmocka_run_group_tests_name("share", tests, NULL, NULL);
}
