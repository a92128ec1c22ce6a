#include "perf/wire.h"

#include "perf/die.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* proc(5), /proc/net/dev: "name: received bytes, 7 more, sent bytes, ...", after two lines of
 * names. The file is that of the process's network namespace. */
struct wire wire_read(void)
{
	FILE *file = fopen("/proc/self/net/dev", "r");
	struct wire sum = { 0, 0 }, one;
	char line[512], name[64];

	if (file == NULL)
		die("/proc/self/net/dev: %s", strerror(errno));
	while (fgets(line, sizeof(line), file) != NULL)
		if (sscanf(line, " %63[^:]: %lf %*s %*s %*s %*s %*s %*s %*s %lf", name,
			    &one.received_bytes, &one.sent_bytes) == 3 &&
			strcmp(name, "lo") != 0) {
			sum.received_bytes += one.received_bytes;
			sum.sent_bytes += one.sent_bytes;
		}
	fclose(file);
	return sum;
}
