/*
 * Counts the works of a channel, and stamps the times of those that a profiler asked for.
 */
#ifndef HOSTGPU_EXEC_PROFILE_H
#define HOSTGPU_EXEC_PROFILE_H

#include "nccl_abi.h"

/* works: the nworks works of a batch, one after the other. Called before and after they run. */
void exec_profile_begin(const struct abi_comm *comm, const struct abi_channel *channel,
	int channel_id, enum abi_work_type type, const void *works, int nworks);
void exec_profile_end(const struct abi_comm *comm, struct abi_channel *channel, int channel_id,
	enum abi_work_type type, const void *works, int nworks);

#endif
