#include "priority/window.h"

enum { GROWS = 4, SHRINKS = 2 };

static uint64_t between(uint64_t least, uint64_t value, uint64_t most)
{
	if (value < least)
		return least;
	return value < most ? value : most;
}

static void calm_begin(struct lina_window *window, uint64_t now_ns)
{
	window->left_bytes = UINT64_MAX;
	window->since_ns = now_ns;
}

void lina_window_init(struct lina_window *window, uint64_t bytes)
{
	*window =
		(struct lina_window){ .bytes = bytes, .least_bytes = 1, .most_bytes = UINT64_MAX };
	calm_begin(window, 0);
}

void lina_window_bound(struct lina_window *window, uint64_t least_bytes, uint64_t most_bytes)
{
	window->least_bytes = least_bytes;
	window->most_bytes = most_bytes > least_bytes ? most_bytes : least_bytes;
	window->bytes = between(window->least_bytes, window->bytes, window->most_bytes);
}

static void resize(struct lina_window *window, uint64_t bytes, uint64_t now_ns)
{
	window->bytes = between(window->least_bytes, bytes, window->most_bytes);
	calm_begin(window, now_ns);
}

void lina_window_seen(struct lina_window *window, uint64_t left_bytes, uint64_t now_ns)
{
	if (left_bytes == 0) {
		resize(window, window->bytes + window->bytes / GROWS, now_ns);
		return;
	}
	if (left_bytes < window->left_bytes)
		window->left_bytes = left_bytes;
	if (now_ns < window->since_ns || now_ns - window->since_ns < LINA_WINDOW_CALM_NS)
		return;
	uint64_t less = window->left_bytes / SHRINKS;
	resize(window, window->bytes > less ? window->bytes - less : 0, now_ns);
}
