#include "plugin/mr_cache.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

struct lina_mr_pages lina_mr_pages(const void *data, size_t bytes, size_t page_bytes)
{
	uintptr_t mask = page_bytes - 1, from = (uintptr_t)data;

	return (struct lina_mr_pages){ from & ~mask, (from + bytes + mask) & ~mask };
}

void *lina_mr_cache_share(struct lina_mr_cache *cache, const struct lina_mr_pages *pages, int kind)
{
	for (size_t i = 0; i < cache->n; i++) {
		struct lina_mr_entry *e = &cache->entry[i];
		if (e->kind != kind || pages->from < e->from || pages->until > e->until)
			continue;
		e->refs++;
		return e->handle;
	}
	return NULL;
}

int lina_mr_cache_reserve(struct lina_mr_cache *cache)
{
	if (cache->n < cache->room)
		return 0;
	size_t room = cache->room ? 2 * cache->room : 16;
	struct lina_mr_entry *entry = realloc(cache->entry, room * sizeof(*entry));
	if (!entry)
		return -ENOMEM;
	cache->entry = entry;
	cache->room = room;
	return 0;
}

void lina_mr_cache_add(
	struct lina_mr_cache *cache, const struct lina_mr_pages *pages, int kind, void *handle)
{
	assert(cache->n < cache->room);
	cache->entry[cache->n++] = (struct lina_mr_entry){
		.from = pages->from,
		.until = pages->until,
		.kind = kind,
		.refs = 1,
		.handle = handle,
	};
}

void *lina_mr_cache_release(struct lina_mr_cache *cache, void *handle)
{
	for (size_t i = 0; i < cache->n; i++) {
		struct lina_mr_entry *e = &cache->entry[i];
		if (e->handle != handle)
			continue;
		if (--e->refs)
			return NULL;
		*e = cache->entry[--cache->n];
		return handle;
	}
	return NULL;
}

void lina_mr_cache_free(struct lina_mr_cache *cache)
{
	free(cache->entry);
	*cache = (struct lina_mr_cache){ .entry = NULL };
}
