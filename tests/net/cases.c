#include "net/cases.h"

#include <stdlib.h>
#include <string.h>

struct pair pair;

void must(int err, const char *what, int line)
{
	if (err)
		fail_msg("line %d: %s: %s\n%s", line, what, strerror(-err), log_text());
}

uint8_t *bytes_new(size_t n)
{
	uint8_t *p = malloc(n ? n : 1);

	assert_non_null(p);
	return p;
}

int open_one_lane(void **state)
{
	(void)state;
	pair_open("", &pair);
	return 0;
}

int open_three_lanes(void **state)
{
	(void)state;
	pair_open("LINA_LANES=3", &pair);
	return 0;
}

int close_pair(void **state)
{
	(void)state;
	pair_close(&pair);
	return 0;
}
