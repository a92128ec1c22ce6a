/*
 * What holds for whatever a reader of topologies returns.
 */
#ifndef LINA_TESTS_FUZZ_TOPO_CHECK_H
#define LINA_TESTS_FUZZ_TOPO_CHECK_H

#include "topology/topo_build.h"

/* Destroys the topology. fault->line was -1 before. */
void topo_check(int err, struct lina_topo *topo, const struct lina_topo_fault *fault);

#endif
