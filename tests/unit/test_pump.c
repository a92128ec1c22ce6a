/* The thread that hands down what was kept back: whom it looks after and whom not, and when it
 * sleeps. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>

#include "net/fixture.h"
#include "plugin/pump.h"

enum { LIMIT_MS = 10000, QUIET_MS = 30, PACE_NS = 50000, NTHREADS = 3, ROUNDS = 2000 };

/* Keeps something back until it was pushed so often. */
struct member {
	struct lina_pumped pumped;
	unsigned until;          /* Guarded by pumped's lock */
	_Atomic unsigned pushes; /* so far */
};

static struct lina_pump *pump;
static int threads_before;
static bool no_threads;

int __real_pthread_create(
	pthread_t *thread, const pthread_attr_t *attr, void *(*run)(void *), void *arg);
int __wrap_pthread_create(
	pthread_t *thread, const pthread_attr_t *attr, void *(*run)(void *), void *arg);

int __wrap_pthread_create(
	pthread_t *thread, const pthread_attr_t *attr, void *(*run)(void *), void *arg)
{
	return no_threads ? EAGAIN : __real_pthread_create(thread, attr, run, arg);
}

static void push(struct lina_pumped *pumped)
{
	struct member *m = (struct member *)pumped;

	unsigned pushes = atomic_fetch_add(&m->pushes, 1) + 1;
	lina_pump_wants(pumped, pushes < m->until);
}

static int begin(void **state)
{
	(void)state;
	log_forget();
	lina_log_set(record_log);
	threads_before = threads_alive();
	assert_int_equal(lina_pump_open("test0", &pump), 0);
	lina_pump_pace(pump, PACE_NS);
	return 0;
}

/* A thread that was joined may be in the list for a moment. */
static bool threads_are(int n)
{
	for (uint64_t until = now_ms() + LIMIT_MS; threads_alive() != n && now_ms() < until;)
		sleep_ms(1);
	return threads_alive() == n;
}

static int end(void **state)
{
	(void)state;
	lina_pump_close(pump);
	pump = NULL;
	no_threads = false;
	return threads_are(threads_before) ? 0 : -1;
}

static void member_add(struct member *m)
{
	*m = (struct member){ .until = 0 };
	lina_pump_add(pump, &m->pumped, push);
}

/* Keeps something back for as many pushes more. */
static void member_wants(struct member *m, unsigned more)
{
	pthread_mutex_lock(&m->pumped.lock);
	m->until = m->pushes + more;
	lina_pump_wants(&m->pumped, true);
	pthread_mutex_unlock(&m->pumped.lock);
}

static bool is_pushed(const struct member *m, unsigned pushes)
{
	for (uint64_t until = now_ms() + LIMIT_MS; m->pushes < pushes && now_ms() < until;)
		sleep_ms(1);
	return m->pushes >= pushes;
}

static void who_wants_is_pushed_until_it_does_not(void **state)
{
	struct member m;

	(void)state;
	member_add(&m);
	for (unsigned i = 1; i <= 3; i++) {
		member_wants(&m, 5);
		assert_true(is_pushed(&m, 5 * i));
		sleep_ms(QUIET_MS); /* it sleeps, and has to be woken for the next */
		assert_int_equal(m.pushes, 5 * i);
	}
	lina_pump_remove(&m.pumped);
}

static void who_wants_nothing_is_left_alone(void **state)
{
	struct member quiet, busy;

	(void)state;
	member_add(&quiet);
	member_add(&busy);
	member_wants(&busy, 20);
	assert_true(is_pushed(&busy, 20));
	assert_int_equal(quiet.pushes, 0);
	lina_pump_remove(&quiet.pumped);
	lina_pump_remove(&busy.pumped);
}

static void who_is_looked_after_is_passed_over(void **state)
{
	struct member used, other;

	(void)state;
	member_add(&used);
	member_add(&other);
	pthread_mutex_lock(&used.pumped.lock);
	used.until = 1;
	lina_pump_wants(&used.pumped, true);
	member_wants(&other, 20);
	assert_true(is_pushed(&other, 20));
	assert_int_equal(used.pushes, 0);
	pthread_mutex_unlock(&used.pumped.lock);
	assert_true(is_pushed(&used, 1));
	lina_pump_remove(&used.pumped);
	lina_pump_remove(&other.pumped);
}

static void who_was_removed_is_pushed_no_more(void **state)
{
	struct member m;

	(void)state;
	member_add(&m);
	member_wants(&m, UINT32_MAX / 2);
	assert_true(is_pushed(&m, 1));
	lina_pump_remove(&m.pumped);
	unsigned pushes = m.pushes;
	sleep_ms(QUIET_MS);
	assert_int_equal(m.pushes, pushes);
}

static void without_members_there_is_no_thread(void **state)
{
	struct member m;

	(void)state;
	assert_int_equal(threads_alive(), threads_before);
	member_add(&m);
	assert_int_equal(threads_alive(), threads_before + 1);
	lina_pump_remove(&m.pumped);
}

static void without_a_pump_its_owner_is_alone(void **state)
{
	struct member m = { .until = 0 };

	(void)state;
	lina_pump_add(NULL, &m.pumped, push);
	member_wants(&m, 1);
	sleep_ms(QUIET_MS);
	assert_int_equal(m.pushes, 0);
	lina_pump_remove(&m.pumped);
}

static void a_thread_that_cannot_be_is_named_once(void **state)
{
	struct member a, b;

	(void)state;
	no_threads = true;
	member_add(&a);
	member_add(&b);
	member_wants(&a, 1);
	assert_int_equal(log_warnings(), 1);
	assert_true(log_says("thread lina-test0 cannot be started"));
	lina_pump_remove(&a.pumped);
	lina_pump_remove(&b.pumped);
}

/* --- many at once --- */

static char late;

static void *members_come_and_go(void *arg)
{
	struct member m;

	(void)arg;
	for (unsigned i = 0; i < ROUNDS; i++) {
		member_add(&m);
		member_wants(&m, 1 + i % 3);
		if (i % 100 == 0 && !is_pushed(&m, 1 + i % 3))
			return &late;
		lina_pump_remove(&m.pumped);
	}
	return NULL;
}

static void members_of_many_threads(void **state)
{
	pthread_t thread[NTHREADS];
	void *failed;

	(void)state;
	for (int i = 0; i < NTHREADS; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, members_come_and_go, NULL), 0);
	for (int i = 0; i < NTHREADS; i++) {
		assert_int_equal(pthread_join(thread[i], &failed), 0);
		assert_null(failed);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(who_wants_is_pushed_until_it_does_not, begin, end),
		cmocka_unit_test_setup_teardown(who_wants_nothing_is_left_alone, begin, end),
		cmocka_unit_test_setup_teardown(who_is_looked_after_is_passed_over, begin, end),
		cmocka_unit_test_setup_teardown(who_was_removed_is_pushed_no_more, begin, end),
		cmocka_unit_test_setup_teardown(without_members_there_is_no_thread, begin, end),
		cmocka_unit_test_setup_teardown(without_a_pump_its_owner_is_alone, begin, end),
		cmocka_unit_test_setup_teardown(a_thread_that_cannot_be_is_named_once, begin, end),
		cmocka_unit_test_setup_teardown(members_of_many_threads, begin, end),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
