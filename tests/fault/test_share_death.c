/* Processes that share a link: killed at any moment, come and gone in storms, made by fork. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "share_case.h"

enum { KILLS = 300, KILL_US = 3000, NPROCS = 6, ROUNDS = 40, STORM = 150, PATIENCE_S = 30 };

/* What the processes of a case have in common besides the link. */
struct common {
	_Atomic int arrived;
	_Atomic bool stop;
};
static struct common *common;

static int common_setup(void **state)
{
	common = mmap(
		NULL, sizeof(*common), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (common == MAP_FAILED)
		die("no memory");
	return share_setup(state);
}

static int common_teardown(void **state)
{
	(void)munmap(common, sizeof(*common));
	return share_teardown(state);
}

#define COMMON_CASE(test) cmocka_unit_test_setup_teardown(test, common_setup, common_teardown)

static uint64_t deadline(void)
{
	return share_now_ns() + PATIENCE_S * SECOND_NS;
}

static uint32_t flows(const struct lina_share *share)
{
	return lina_share_bulk_flows(share, share_now_ns());
}

static uint64_t latency(const struct lina_share *share)
{
	return lina_share_latency_until_ns(share, share_now_ns(), SECOND_NS);
}

static void flows_become(const struct lina_share *share, uint32_t n)
{
	const uint64_t end_ns = deadline();

	while (flows(share) != n) {
		if (share_now_ns() > end_ns)
			die("%u flows instead of %u", flows(share), n);
		(void)sched_yield();
	}
}

/* In any process: the nth time that all n come here. */
static void all_meet(int n, int nth)
{
	const uint64_t end_ns = deadline();

	atomic_fetch_add(&common->arrived, 1);
	while (atomic_load(&common->arrived) < n * nth) {
		if (share_now_ns() > end_ns)
			die("the others do not come");
		(void)sched_yield();
	}
}

/* --- killed --- */

static int comes_and_goes(void *arg)
{
	(void)arg;
	while (!atomic_load(&common->stop)) {
		struct lina_share *share = share_open();
		for (uint32_t i = 0; i < 20; i++)
			lina_share_tell(share, share_now_ns() + SECOND_NS, i);
		(void)flows(share);
		lina_share_close(share);
	}
	return 0;
}

static void sleep_at_most_us(uint64_t *random, unsigned us)
{
	(void)usleep((useconds_t)(random_next(random) % us));
}

static void kill_and_reap(pid_t pid)
{
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(share_wait(pid), -SIGKILL);
}

static void killed_alone(void **state)
{
	uint64_t random = share_now_ns() | 1;

	(void)state;
	for (int i = 0; i < KILLS; i++) {
		pid_t pid = share_fork(comes_and_goes, NULL);
		sleep_at_most_us(&random, KILL_US);
		kill_and_reap(pid);
		struct lina_share *share = share_open();
		if (i % 10 == 0)
			assert_int_equal(share_slots_free(), LINA_SHARE_SLOTS - 1);
		lina_share_close(share);
		assert_false(share_file_exists());
	}
}

/* The others go on, and someone who stays sees all that they say end. */
static void killed_among_others(void **state)
{
	struct lina_share *stays = share_open();
	uint64_t random = share_now_ns() | 1;
	pid_t pid[NPROCS];

	(void)state;
	for (int i = 0; i < NPROCS; i++)
		pid[i] = share_fork(comes_and_goes, NULL);
	for (int i = 0; i < KILLS / 2; i++) {
		pid_t *one = &pid[random_next(&random) % NPROCS];
		sleep_at_most_us(&random, KILL_US);
		kill_and_reap(*one);
		*one = share_fork(comes_and_goes, NULL);
	}
	atomic_store(&common->stop, true);
	for (int i = 0; i < NPROCS; i++)
		assert_int_equal(share_wait(pid[i]), 0);
	flows_become(stays, 0);
	assert_int_equal(share_slots_free(), LINA_SHARE_SLOTS - 1);
	lina_share_close(stays);
}

static int says_and_stays(void *arg)
{
	struct lina_share *share = share_open();

	(void)arg;
	lina_share_tell(share, UINT64_MAX, 7);
	(void)pause();
	return 1;
}

static void what_the_dead_said_ends(void **state)
{
	struct lina_share *share = share_open();
	pid_t pid = share_fork(says_and_stays, NULL);

	(void)state;
	flows_become(share, 7);
	kill_and_reap(pid);
	flows_become(share, 0);
	assert_int_equal(latency(share), 0);
	lina_share_close(share);
}

/* --- storms --- */

/* Whether the segment of this process is of a file that has lost its name. */
static bool mapping_is_stale(void)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	char line[1024];
	bool found = false, stale = false;

	if (!maps)
		die("/proc/self/maps: %s", strerror(errno));
	while (fgets(line, sizeof(line), maps)) {
		if (!strstr(line, share_path()))
			continue;
		found = true;
		stale = stale || strstr(line, "(deleted)");
	}
	(void)fclose(maps);
	if (!found)
		die("the segment is not mapped");
	return stale;
}

static int storms(void *arg)
{
	(void)arg;
	all_meet(NPROCS, 1);
	for (int i = 0; i < STORM; i++) {
		struct lina_share *share = share_open();
		if (mapping_is_stale())
			die("in a file without a name");
		lina_share_close(share);
	}
	return 0;
}

/* Nothing parts the last closes of a round from the first opens of the next. */
static int meets(void *arg)
{
	(void)arg;
	for (int i = 0; i < ROUNDS; i++) {
		const uint64_t end_ns = deadline();
		struct lina_share *share = share_open();
		all_meet(NPROCS, 2 * i + 1);
		do {
			lina_share_tell(share, 0, 1);
			if (share_now_ns() > end_ns)
				die("sees %u of %d others", flows(share), NPROCS - 1);
			(void)sched_yield();
		} while (flows(share) != NPROCS - 1);
		/* The others may wait for this one's word for as long as it takes them. */
		lina_share_tell(share, 0, 1);
		all_meet(NPROCS, 2 * i + 2);
		lina_share_close(share);
	}
	return 0;
}

static void all_end_well(int (*run)(void *arg))
{
	pid_t pid[NPROCS];

	for (int i = 0; i < NPROCS; i++)
		pid[i] = share_fork(run, NULL);
	for (int i = 0; i < NPROCS; i++)
		assert_int_equal(share_wait(pid[i]), 0);
	assert_false(share_file_exists());
}

static void nobody_is_in_a_file_without_a_name(void **state)
{
	(void)state;
	all_end_well(storms);
}

static void those_who_come_together_meet(void **state)
{
	(void)state;
	all_end_well(meets);
}

/* --- forks --- */

static int uses_its_copy(void *arg)
{
	struct lina_share *share = arg;

	lina_share_tell(share, 0, 1000);
	if (latency(share) || flows(share))
		die("a child's copy sees others");
	lina_share_close(share);
	return 0;
}

static void a_copy_says_nothing_and_takes_nothing_away(void **state)
{
	struct lina_share *a = share_open(), *b = share_open();

	(void)state;
	lina_share_tell(b, UINT64_MAX, 2);
	lina_share_tell(a, UINT64_MAX, 5);
	assert_int_equal(share_wait(share_fork(uses_its_copy, a)), 0);
	assert_in_range(flows(b), 0, 5);
	lina_share_tell(b, UINT64_MAX, 2);
	lina_share_tell(a, UINT64_MAX, 5);
	struct lina_share *c = share_open();
	lina_share_tell(c, 0, 10);
	assert_int_equal(flows(a), 12);
	assert_int_equal(flows(b), 15);
	assert_int_equal(flows(c), 7);
	assert_int_equal(share_slots_free(), LINA_SHARE_SLOTS - 3);
	lina_share_close(a);
	lina_share_close(b);
	lina_share_close(c);
}

/* The one that is left in the child does not keep the file, nor the slot. */
static int waits_for_stop(void *arg)
{
	(void)arg;
	for (const uint64_t end_ns = deadline(); !atomic_load(&common->stop); sleep_ms(1))
		if (share_now_ns() > end_ns)
			die("nobody says stop");
	return 0;
}

static void close_counts_though_a_child_has_a_copy(void **state)
{
	struct lina_share *a = share_open(), *b = share_open();
	pid_t pid = share_fork(waits_for_stop, NULL);

	(void)state;
	lina_share_close(a);
	assert_int_equal(share_slots_free(), LINA_SHARE_SLOTS - 1);
	lina_share_close(b);
	assert_false(share_file_exists());
	atomic_store(&common->stop, true);
	assert_int_equal(share_wait(pid), 0);
}

static int opens_its_own(void *arg)
{
	struct lina_share *parents = arg, *own = share_open();

	flows_become(own, 5);
	lina_share_tell(own, 0, 3);
	while (!atomic_load(&common->stop))
		lina_share_tell(own, 0, 3);
	lina_share_close(own);
	lina_share_close(parents);
	return 0;
}

static void a_child_may_open_its_own(void **state)
{
	struct lina_share *share = share_open();
	const uint64_t end_ns = deadline();
	pid_t pid = share_fork(opens_its_own, share);

	(void)state;
	do {
		lina_share_tell(share, 0, 5);
		assert_true(share_now_ns() < end_ns);
	} while (flows(share) != 3);
	atomic_store(&common->stop, true);
	assert_int_equal(share_wait(pid), 0);
	assert_int_equal(flows(share), 0);
	lina_share_close(share);
}

static int forks_and_stays(void *arg)
{
	struct lina_share *share = share_open();

	(void)arg;
	lina_share_tell(share, UINT64_MAX, 7);
	if (fork() == 0)
		_exit(waits_for_stop(NULL));
	atomic_fetch_add(&common->arrived, 1);
	(void)pause();
	return 1;
}

/* What share.h says of a parent that was killed: its word ends, its slot is its children's. */
static void a_child_keeps_the_slot_of_a_killed_parent(void **state)
{
	struct lina_share *share = share_open();
	const uint64_t end_ns = deadline();
	pid_t pid = share_fork(forks_and_stays, NULL);

	(void)state;
	while (!atomic_load(&common->arrived))
		sleep_ms(1);
	kill_and_reap(pid);
	flows_become(share, 0);
	assert_int_equal(share_slots_free(), LINA_SHARE_SLOTS - 2);
	atomic_store(&common->stop, true);
	while (share_slots_free() != LINA_SHARE_SLOTS - 1)
		assert_true(share_now_ns() < end_ns);
	lina_share_close(share);
}

static void nothing_passes_exec(void **state)
{
	struct lina_share *share = share_open();
	struct stat file, st;
	int found = 0;

	(void)state;
	assert_int_equal(stat(share_path(), &file), 0);
	for (int fd = 0; fd < 256; fd++) {
		if (fstat(fd, &st) || st.st_ino != file.st_ino || st.st_dev != file.st_dev)
			continue;
		found++;
		assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	}
	assert_int_equal(found, 1);
	lina_share_close(share);
}

/* --- another host, as far as the network goes --- */

enum { NOT_PERMITTED = 77 };

static int in_another_network(void *arg)
{
	char before[LINA_SHARE_NAME_BYTES], after[LINA_SHARE_NAME_BYTES];

	(void)arg;
	if (lina_share_name(share_link(), before))
		die("no name");
	if (unshare(CLONE_NEWNET))
		return NOT_PERMITTED;
	if (lina_share_name(share_link(), after) || !strcmp(before, after))
		die("the same name");
	struct lina_share *share = share_open();
	if (flows(share))
		die("sees another network");
	lina_share_tell(share, 0, 9);
	all_meet(2, 1);
	lina_share_close(share);
	return 0;
}

static void networks_are_apart(void **state)
{
	struct lina_share *share = share_open();

	(void)state;
	lina_share_tell(share, UINT64_MAX, 5);
	pid_t pid = share_fork(in_another_network, NULL);
	atomic_fetch_add(&common->arrived, 1);
	int rc = share_wait(pid);
	assert_int_equal(flows(share), 0);
	lina_share_close(share);
	if (rc == NOT_PERMITTED) {
		print_message("skipped: a network namespace is not permitted here\n");
		skip();
	}
	assert_int_equal(rc, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		COMMON_CASE(killed_alone),
		COMMON_CASE(killed_among_others),
		COMMON_CASE(what_the_dead_said_ends),
		COMMON_CASE(nobody_is_in_a_file_without_a_name),
		COMMON_CASE(those_who_come_together_meet),
		COMMON_CASE(a_copy_says_nothing_and_takes_nothing_away),
		COMMON_CASE(close_counts_though_a_child_has_a_copy),
		COMMON_CASE(a_child_may_open_its_own),
		COMMON_CASE(a_child_keeps_the_slot_of_a_killed_parent),
		COMMON_CASE(nothing_passes_exec),
		COMMON_CASE(networks_are_apart),
	};

	return cmocka_run_group_tests_name("share_death", tests, NULL, NULL);
}
