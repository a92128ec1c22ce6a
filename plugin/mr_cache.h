/*
 * What is registered with one protection domain: memory that is registered again, whole or in part,
 * shares the registration, which ends with the last that shares it. Pages are registered whole. So
 * what is in the cache is in use, and nothing in it can be older than the memory that it names.
 * Pure but for malloc. Threads: the caller serialises.
 */
#ifndef LINA_PLUGIN_MR_CACHE_H
#define LINA_PLUGIN_MR_CACHE_H

#include <stddef.h>
#include <stdint.h>

struct lina_mr_entry {
	uintptr_t from, until;
	int kind;      /* the caller's: kinds do not share */
	unsigned refs; /* > 0 */
	void *handle;  /* the caller's registration */
};

/* All zero at first. */
struct lina_mr_cache {
	struct lina_mr_entry *entry;
	size_t n, room;
};

/* The pages of page_bytes (a power of two) that bytes at data lie on. */
struct lina_mr_pages {
	uintptr_t from, until;
};
struct lina_mr_pages lina_mr_pages(const void *data, size_t bytes, size_t page_bytes);

/* One more shares the registration that covers pages. NULL: there is none. */
void *lina_mr_cache_share(struct lina_mr_cache *cache, const struct lina_mr_pages *pages, int kind);

/* Makes room for one more, so that lina_mr_cache_add cannot fail. -ENOMEM. */
int lina_mr_cache_reserve(struct lina_mr_cache *cache);
void lina_mr_cache_add(
	struct lina_mr_cache *cache, const struct lina_mr_pages *pages, int kind, void *handle);

/* One less shares handle. Returns it if that was the last, for the caller to deregister; else
 * NULL. */
void *lina_mr_cache_release(struct lina_mr_cache *cache, void *handle);

/* When nothing is shared any more. */
void lina_mr_cache_free(struct lina_mr_cache *cache);

#endif
