#include "executor.h"

#include "exec_channel.h"
#include "wait.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Channels that no kernel uses, kept for the next one. Guarded by spare_lock. */
static struct exec_channel *spare;
static pthread_mutex_t spare_lock = PTHREAD_MUTEX_INITIALIZER;

static struct exec_channel *channel_take(void)
{
	pthread_mutex_lock(&spare_lock);
	struct exec_channel *c = spare;
	if (c)
		spare = c->next;
	pthread_mutex_unlock(&spare_lock);
	if (!c)
		c = malloc(sizeof *c);
	if (!c) {
		fprintf(stderr, "hostgpu: out of memory\n");
		abort();
	}
	return c;
}

static void channels_return(struct exec_channel *list)
{
	pthread_mutex_lock(&spare_lock);
	while (list) {
		struct exec_channel *c = list;
		list = c->next;
		c->next = spare;
		spare = c;
	}
	pthread_mutex_unlock(&spare_lock);
}

static bool aborted(const struct abi_args *args)
{
	return args->comm->abort_flag && EXEC_LOAD(args->comm->abort_flag);
}

static struct exec_channel *channels_begin(const struct abi_args *args)
{
	struct exec_channel *list = NULL;
	for (int id = 0, index = 0; id < ABI_CHANNELS; id++) {
		if (!(args->channel_mask >> id & 1))
			continue;
		struct exec_channel *c = channel_take();
		c->next = list;
		list = c;
		exec_channel_begin(c, args, id, index++);
	}
	return list;
}

/* Moves what can be moved. Channels that end go from *live_p to *ended_p. */
static bool channels_advance(struct exec_channel **live_p, struct exec_channel **ended_p)
{
	bool moved = false;
	while (*live_p) {
		struct exec_channel *c = *live_p;
		enum exec_progress p = exec_channel_advance(c);
		moved |= p != EXEC_BLOCKED;
		if (p != EXEC_ENDED) {
			live_p = &c->next;
			continue;
		}
		*live_p = c->next;
		c->next = *ended_p;
		*ended_p = c;
	}
	return moved;
}

static void kernel_run(const struct abi_args *args)
{
	struct exec_channel *live = channels_begin(args), *ended = NULL;
	struct hostgpu_wait wait;
	hostgpu_wait_reset(&wait);
	while (live) {
		if (channels_advance(&live, &ended)) {
			hostgpu_wait_reset(&wait);
			continue;
		}
		if (aborted(args))
			break;
		hostgpu_wait_step(&wait);
	}
	channels_return(live);
	channels_return(ended);
}

/* ---- the kernel of a communicator of one rank ---- */

/* oneRankReduce<FuncPreMulSum<T>>: an average or a product with a factor. [src/device/onerank.cu]
 */
struct one_rank {
	void *dst, *src;
	size_t n;
	uint64_t arg;
	bool arg_is_ptr;
};

/* The type is in the mangled name. */
static enum abi_type one_rank_type(const char *kernel)
{
	static const struct {
		const char *mangled;
		enum abi_type type;
	} types[] = {
		{ "IaE", TYPE_I8 },
		{ "IhE", TYPE_U8 },
		{ "IiE", TYPE_I32 },
		{ "IjE", TYPE_U32 },
		{ "IlE", TYPE_I64 },
		{ "ImE", TYPE_U64 },
		{ "IfE", TYPE_F32 },
		{ "IdE", TYPE_F64 },
		{ "6__halfE", TYPE_F16 },
		{ "bfloat16E", TYPE_BF16 },
		{ "fp8_e4m3E", TYPE_F8E4M3 },
		{ "fp8_e5m2E", TYPE_F8E5M2 },
	};
	const char *op = strstr(kernel, "FuncPreMulSum");
	for (size_t i = 0; op && i < sizeof types / sizeof *types; i++)
		if (strstr(op, types[i].mangled))
			return types[i].type;
	exec_die("kernel %s", kernel);
}

static void one_rank_run(const char *kernel, const struct one_rank *a)
{
	struct exec_reduction r = { REDOP_PREMULSUM, one_rank_type(kernel), 0 };
	r.arg = exec_redop_arg(r.type, a->arg, a->arg_is_ptr);
	exec_reduce_before(&r, a->dst, a->src, a->n);
}

static bool is_one_rank(const char *kernel)
{
	return strstr(kernel, "oneRankReduce") != NULL;
}

size_t executor_pack(const char *kernel, void *const *params, void *packed)
{
	struct one_rank *a = packed;
	if (!is_one_rank(kernel))
		return 0;
	if (a) {
		memcpy(&a->dst, params[0], sizeof a->dst);
		memcpy(&a->src, params[1], sizeof a->src);
		memcpy(&a->n, params[2], sizeof a->n);
		memcpy(&a->arg, params[3], sizeof a->arg);
		memcpy(&a->arg_is_ptr, params[4], sizeof a->arg_is_ptr);
	}
	return sizeof *a;
}

void executor_run(const char *kernel, const void *args)
{
	if (is_one_rank(kernel))
		one_rank_run(kernel, args);
	else if (strstr(kernel, "ncclDevKernel_"))
		kernel_run(args);
	else
		exec_die("kernel %s", kernel);
}
