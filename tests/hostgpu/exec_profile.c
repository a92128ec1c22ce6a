#include "exec_profile.h"

#if ABI_PROFILES

#include <stdbool.h>
#include <time.h>

static uint64_t now_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_REALTIME, &t);
	return (uint64_t)t.tv_sec * 1000000000U + (uint64_t)t.tv_nsec;
}

static bool profiled(enum abi_work_type type, const void *works, int i)
{
	if (type == WORK_P2P)
		return ((const struct abi_p2p *)works)[i].profiled;
	return type == WORK_COLL && ((const struct abi_coll *)works)[i].profiled;
}

static void stamp(struct abi_profiler *slots, int channel_id, uint64_t counter)
{
	if (!slots)
		return;
	size_t i = counter % ABI_PROFILER_EVENTS;
	slots[channel_id].data[i].timestamp = now_ns();
	__atomic_store_n(&slots[channel_id].data[i].counter, counter, __ATOMIC_RELEASE);
}

static void stamp_all(struct abi_profiler *slots, const struct abi_channel *channel, int channel_id,
	enum abi_work_type type, const void *works, int nworks)
{
	for (int i = 0; i < nworks; i++)
		if (profiled(type, works, i))
			stamp(slots, channel_id, channel->work_counter + 1 + (uint64_t)i);
}

void exec_profile_begin(const struct abi_comm *comm, const struct abi_channel *channel,
	int channel_id, enum abi_work_type type, const void *works, int nworks)
{
	stamp_all(comm->work_started, channel, channel_id, type, works, nworks);
}

void exec_profile_end(const struct abi_comm *comm, struct abi_channel *channel, int channel_id,
	enum abi_work_type type, const void *works, int nworks)
{
	stamp_all(comm->work_completed, channel, channel_id, type, works, nworks);
	channel->work_counter += (uint64_t)nworks;
}

#else

void exec_profile_begin(const struct abi_comm *comm, const struct abi_channel *channel,
	int channel_id, enum abi_work_type type, const void *works, int nworks)
{
	(void)comm;
	(void)channel;
	(void)channel_id;
	(void)type;
	(void)works;
	(void)nworks;
}

void exec_profile_end(const struct abi_comm *comm, struct abi_channel *channel, int channel_id,
	enum abi_work_type type, const void *works, int nworks)
{
	exec_profile_begin(comm, channel, channel_id, type, works, nworks);
}

#endif
