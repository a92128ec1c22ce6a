/*
 * Descriptions of a cluster as users give them, whatever kind they are of.
 */
#ifndef LINA_TOPOLOGY_TOPO_FILE_H
#define LINA_TOPOLOGY_TOPO_FILE_H

#include <stddef.h>

#include "topology/topo_build.h"

/* The topology of what, which is
 *   - the name of a file with a text (topo_text.h), NCCL's XML (topo_nccl.h) or hwloc's;
 *   - "this": the machine at hand, as hwloc sees it;
 *   - "hwloc:TEXT": a synthetic description of hwloc's ("hwloc:numa:2 core:4 pu:1");
 *   - a text itself.
 * A machine counts as nnodes nodes alike (1 or more); a text that has nodes of its own is taken for
 * so many. -EINVAL: *fault_p says what is wrong, and with a line where; -errno of a file that is
 * there and cannot be read, -EFBIG above 16 MiB; -ENOMEM. */
int lina_topo_open(
	const char *what, int nnodes, struct lina_topo **topo_p, struct lina_topo_fault *fault_p);

/* hwloc's XML of "this", "hwloc:TEXT" or a file of hwloc's, in *text_p, to be freed by the caller.
 * -EINVAL: what is of another kind. */
int lina_topo_export(
	const char *what, char **text_p, size_t *bytes_p, struct lina_topo_fault *fault_p);

#endif
