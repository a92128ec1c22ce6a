/*
 * One channel of a kernel: what a thread block does on a GPU. It reads its batches of works one
 * after the other. The works of a point-to-point batch run together, collectives in turn.
 */
#ifndef HOSTGPU_EXEC_CHANNEL_H
#define HOSTGPU_EXEC_CHANNEL_H

#include "exec_unit.h"

enum { EXEC_CHANNEL_UNITS = 8 * EXEC_WORK_UNITS }; /* [NCCL_MAX_DEV_WORK_P2P_PER_BATCH] */

struct exec_channel {
	struct exec_channel *next;
	const struct abi_args *args;
	struct exec_context x;
	int batch; /* the next one's index; -1: there is none */
	enum abi_work_type type;
	size_t work_bytes;
	int nworks, work; /* works of the batch; the next one to start */
	int nunits;       /* of the works that run */
	struct exec_unit units[EXEC_CHANNEL_UNITS];
	_Alignas(16) char works[ABI_WORK_BYTES];
};

/* Starts on the channel's first batch, the index-th of the kernel. */
void exec_channel_begin(
	struct exec_channel *c, const struct abi_args *args, int channel_id, int index);

/* Does what can be done now. EXEC_ENDED: all batches are done. */
enum exec_progress exec_channel_advance(struct exec_channel *c);

#endif
