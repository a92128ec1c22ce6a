/*
 * The placement table that LINA_PLACEMENT names, as far as the plugin has a use for it: what part
 * of an all-to-all each device is likely to get, and which device a communicator's rank is.
 *
 * A table says where experts lie and how an expert's tokens divide among its replicas, and not how
 * many tokens an expert has. But it shows what whoever planned it thought: an expert with n
 * replicas was thought worth n slots. So a slot with share s of it stands for n x s, a device for
 * the sum of its slots in all layers.
 *
 * Rank r of a communicator with as many ranks as the table has devices is device r. NCCL says ranks
 * to its profiler only (prof.h), with the communicator's number, which the network knows from net
 * v11 on.
 *
 * Threads: open and close under the core's process lock; ranks from any.
 */
#ifndef LINA_PLUGIN_PLACEMENT_H
#define LINA_PLUGIN_PLACEMENT_H

#include <stdbool.h>
#include <stdint.h>

enum { LINA_DEVICE_UNKNOWN = -1 };

/* Reads the table of path; "": there is none. What cannot be read is warned of, with file, line and
 * column, and counts as none. Returns whether there is one. */
bool lina_placement_open(const char *path);
void lina_placement_close(void);

/* What part of an all-to-all the device gets, with a sum of 1 over all; 0: not known. */
double lina_placement_part(int device);

/* This process's rank of a communicator, as NCCL's profiler says it, until removed. */
void lina_placement_rank_add(uint64_t comm_id, int rank, int nranks);
void lina_placement_rank_remove(uint64_t comm_id, int rank);

/* The device that this process is in the communicator, or LINA_DEVICE_UNKNOWN. */
int lina_placement_device(uint64_t comm_id);

#endif
