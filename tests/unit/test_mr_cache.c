/* Registrations are shared while they are in use, and end with their last user. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "plugin/mr_cache.h"

enum { PAGE = 4096, MANY = 200 };

static int handles[MANY];

static struct lina_mr_pages pages(uintptr_t from, uintptr_t n)
{
	return (struct lina_mr_pages){ from * PAGE, (from + n) * PAGE };
}

static void add(struct lina_mr_cache *cache, uintptr_t from, uintptr_t n, int kind, void *handle)
{
	const struct lina_mr_pages p = pages(from, n);

	assert_int_equal(lina_mr_cache_reserve(cache), 0);
	lina_mr_cache_add(cache, &p, kind, handle);
}

static void *share(struct lina_mr_cache *cache, uintptr_t from, uintptr_t n, int kind)
{
	const struct lina_mr_pages p = pages(from, n);

	return lina_mr_cache_share(cache, &p, kind);
}

/* An address that nothing is read from. */
static void *at(uintptr_t address)
{
	return (void *)address; /* NOLINT(performance-no-int-to-ptr): it is one to look up */
}

static void pages_are_whole(void **state)
{
	(void)state;
	struct lina_mr_pages p = lina_mr_pages(at((uintptr_t)5 * PAGE + 1), 1, PAGE);
	assert_int_equal(p.from, 5 * PAGE);
	assert_int_equal(p.until, 6 * PAGE);
	p = lina_mr_pages(at((uintptr_t)5 * PAGE), PAGE, PAGE);
	assert_int_equal(p.until, 6 * PAGE);
	p = lina_mr_pages(at((uintptr_t)6 * PAGE - 1), 2, PAGE);
	assert_int_equal(p.from, 5 * PAGE);
	assert_int_equal(p.until, 7 * PAGE);
}

static void part_of_a_registration_shares_it(void **state)
{
	struct lina_mr_cache cache = { .entry = NULL };

	(void)state;
	assert_null(share(&cache, 10, 1, 0));
	add(&cache, 10, 4, 0, &handles[0]);
	assert_ptr_equal(share(&cache, 10, 4, 0), &handles[0]);
	assert_ptr_equal(share(&cache, 12, 2, 0), &handles[0]);
	assert_null(share(&cache, 9, 2, 0));
	assert_null(share(&cache, 13, 2, 0));
	assert_null(share(&cache, 10, 4, 1)); /* another kind */
	lina_mr_cache_free(&cache);
}

static void last_user_ends_it(void **state)
{
	struct lina_mr_cache cache = { .entry = NULL };

	(void)state;
	add(&cache, 10, 4, 0, &handles[0]);
	assert_non_null(share(&cache, 10, 4, 0));
	assert_non_null(share(&cache, 11, 1, 0));
	assert_null(lina_mr_cache_release(&cache, &handles[0]));
	assert_null(lina_mr_cache_release(&cache, &handles[0]));
	assert_ptr_equal(lina_mr_cache_release(&cache, &handles[0]), &handles[0]);
	/* The same pages may be other memory from now on. */
	assert_null(share(&cache, 10, 4, 0));
	assert_null(lina_mr_cache_release(&cache, &handles[0]));
	lina_mr_cache_free(&cache);
}

static void many_are_told_apart(void **state)
{
	struct lina_mr_cache cache = { .entry = NULL };

	(void)state;
	for (uintptr_t i = 0; i < MANY; i++)
		add(&cache, 10 * i, 5, 0, &handles[i]);
	for (uintptr_t i = 0; i < MANY; i += 2)
		assert_ptr_equal(lina_mr_cache_release(&cache, &handles[i]), &handles[i]);
	for (uintptr_t i = 0; i < MANY; i++)
		assert_ptr_equal(share(&cache, 10 * i + 1, 3, 0), i % 2 ? &handles[i] : NULL);
	lina_mr_cache_free(&cache);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pages_are_whole),
		cmocka_unit_test(part_of_a_registration_shares_it),
		cmocka_unit_test(last_user_ends_it),
		cmocka_unit_test(many_are_told_apart),
	};
	return cmocka_run_group_tests_name("mr_cache", tests, NULL, NULL);
}
