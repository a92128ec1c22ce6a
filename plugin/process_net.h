/*
 * The context of the ABIs that have none: before net v11 NCCL initialises a network once per
 * process, never finalizes it, and unloads the library instead.
 */
#ifndef LINA_PLUGIN_PROCESS_NET_H
#define LINA_PLUGIN_PROCESS_NET_H

#include "plugin/net.h"

/* The process's context, opened by the first call; log and profiler count only then and may be
 * NULL. It is closed when the library is unloaded, and left to the kernel when the process exits.
 * Threads: any. Errors: those of lina_net_open; the next call tries again. */
int lina_process_net(lina_log_fn *log, lina_prof_fn *profiler, struct lina_net **net_p);

#endif
