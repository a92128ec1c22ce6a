/* In a plugin that brings its RDMA devices: nothing of them is left when it is unloaded. */
#include <stdio.h>
#include <stdlib.h>

#include "fake/fabric.h"

__attribute__((destructor)) static void unload(void)
{
	struct fabric_live live = fabric_live();

	if (fabric_nothing_live() && fabric_counts().misuses == 0)
		return;
	(void)fprintf(stderr,
		"unloaded with %d contexts, %d protection domains, %d memory regions, %d "
		"completion "
		"queues and %d queue pairs, after %ld misuses\n",
		live.contexts, live.pds, live.mrs, live.cqs, live.qps, fabric_counts().misuses);
	abort();
}
