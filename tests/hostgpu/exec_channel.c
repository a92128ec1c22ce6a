#include "exec_channel.h"

#include "exec_profile.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool debug(void)
{
	static int on = -1; /* atomic */
	int known = EXEC_LOAD(&on);
	if (known < 0) {
		const char *text = getenv("HOSTGPU_DEBUG");
		known = text && strcmp(text, "0") != 0;
		EXEC_STORE(&on, known);
	}
	return known;
}

static size_t work_bytes_of(enum abi_work_type type)
{
	switch (type) {
	case WORK_P2P:
		return sizeof(struct abi_p2p);
	case WORK_COLL:
		return sizeof(struct abi_coll);
	case WORK_BCAST:
		return sizeof(struct abi_bcast);
	default:
		exec_die("a collective on registered buffers (work type %d)", (int)type);
	}
}

/* Works lie in the kernel's arguments or in a ring buffer, in units of 16 bytes. */
static void work_read(const struct exec_channel *c, size_t offset, char *to)
{
	const struct abi_args *a = c->args;
	for (size_t i = 0; i < c->work_bytes; i += 16) {
		const char *from =
			a->storage == STORAGE_ARGS
				? (const char *)a + offset + i
				: (const char *)a->work_buf + ((offset + i) & a->work_mask);
		memcpy(to + i, from, 16);
	}
}

static void works_read(struct exec_channel *c, const struct abi_batch *b)
{
	c->type = (enum abi_work_type)b->work_type;
	c->work_bytes = work_bytes_of(c->type);
	for (int i = 0; i < 64; i++) {
		if (!(b->offset_bitset >> i & 1))
			continue;
		size_t at = (size_t)c->nworks * c->work_bytes;
		if (at + c->work_bytes > sizeof c->works)
			exec_die("a batch of more than %zu bytes of works", sizeof c->works);
		work_read(c, b->offset_base + (size_t)i * c->work_bytes, c->works + at);
		c->nworks++;
	}
	if (c->args->storage == STORAGE_FIFO && b->offset_bitset) {
		uint32_t span = 64 - (uint32_t)__builtin_clzll(b->offset_bitset);
		abi_work_consumed(c->x.comm, c->x.channel_id,
			b->offset_base + span * (uint32_t)c->work_bytes);
	}
}

/* Sends and receives choose LL each for itself: their function's name does not say it. */
static int ll_ways(const struct exec_channel *c)
{
	const struct abi_p2p *w = (const struct abi_p2p *)(const void *)c->works;
	int n = 0;
	for (int i = 0; c->type == WORK_P2P && i < c->nworks; i++)
		n += w[i].send_ll + w[i].recv_ll;
	return n;
}

static void batch_log(const struct exec_channel *c)
{
	char name[EXEC_NAME_BYTES];
	fprintf(stderr, "hostgpu %d: rank %d channel %d: %s, %d works, %d ways by LL\n",
		(int)getpid(), c->x.comm->rank, c->x.channel_id, exec_function_name(&c->x.fn, name),
		c->nworks, ll_ways(c));
}

/* Reads the next batch, with those that extend it. */
static void batch_read(struct exec_channel *c)
{
	const struct abi_batch *batches = (const struct abi_batch *)(c->args + 1), *b;
	int i = c->batch;
	c->nworks = c->work = c->nunits = 0;
	for (;; i += b->next_jump) {
		b = &batches[i];
		works_read(c, b);
		if (!b->next_extends)
			break;
	}
	c->batch = b->next_jump ? i + b->next_jump : -1;
	c->x.fn = exec_function(b->func_id);
	if (c->x.fn.func == FUNC_NONE)
		exec_die("device function %d", (int)b->func_id);
	if (debug())
		batch_log(c);
	exec_profile_begin(c->x.comm, c->x.channel, c->x.channel_id, c->type, c->works, c->nworks);
}

static int coll_start(struct exec_channel *c, const struct abi_coll *w)
{
	char name[EXEC_NAME_BYTES];
	const struct exec_function *fn = &c->x.fn;
	if (abi_coll_registered(w))
		exec_die("%s on registered buffers", exec_function_name(fn, name));
	if (fn->algo == ALGO_RING)
		return exec_ring_start(c->units, &c->x, w);
	if (fn->algo == ALGO_TREE)
		return exec_tree_start(c->units, &c->x, w);
	if (fn->algo == ALGO_PAT)
		return exec_pat_start(c->units, &c->x, w);
	exec_die("%s", exec_function_name(fn, name));
}

static void p2p_start(struct exec_channel *c)
{
	const struct abi_p2p *w = (const struct abi_p2p *)(const void *)c->works;
	for (; c->work < c->nworks; c->work++) {
		if (c->nunits + EXEC_WORK_UNITS > EXEC_CHANNEL_UNITS)
			exec_die("%d sends and receives in a batch", c->nworks);
		c->nunits += exec_p2p_start(&c->units[c->nunits], &c->x, &w[c->work]);
	}
}

/* Starts what comes next in the batch: all of it, or one collective. */
static void works_start(struct exec_channel *c)
{
	if (c->type == WORK_P2P) {
		p2p_start(c);
	} else if (c->type == WORK_BCAST) {
		c->nunits = exec_bcast_start(
			c->units, &c->x, (struct abi_bcast *)(void *)c->works, c->nworks);
		c->work = c->nworks;
	} else {
		const struct abi_coll *w = (const struct abi_coll *)(const void *)c->works;
		c->nunits = coll_start(c, &w[c->work]);
		c->work++;
	}
}

void exec_channel_begin(
	struct exec_channel *c, const struct abi_args *args, int channel_id, int index)
{
	struct abi_comm_and_channels *all = (struct abi_comm_and_channels *)(void *)args->comm;
	c->args = args;
	c->x.comm = args->comm;
	c->x.channel = &all->channels[channel_id];
	c->x.channel_id = channel_id;
	c->batch = index;
	batch_read(c);
}

/* Advances each unit as far as it goes; those that end are taken out. */
static bool units_advance(struct exec_channel *c)
{
	bool moved = false;
	for (int i = 0; i < c->nunits;) {
		struct exec_unit *u = &c->units[i];
		enum exec_progress p;
		while ((p = u->advance(u)) == EXEC_MOVED)
			moved = true;
		if (p == EXEC_BLOCKED) {
			i++;
			continue;
		}
		moved = true;
		if (i != --c->nunits)
			*u = c->units[c->nunits];
	}
	return moved;
}

enum exec_progress exec_channel_advance(struct exec_channel *c)
{
	bool moved = units_advance(c);
	while (!c->nunits) {
		moved = true;
		if (c->work < c->nworks) {
			works_start(c);
			continue;
		}
		exec_profile_end(
			c->x.comm, c->x.channel, c->x.channel_id, c->type, c->works, c->nworks);
		if (c->batch < 0)
			return EXEC_ENDED;
		batch_read(c);
	}
	return moved ? EXEC_MOVED : EXEC_BLOCKED;
}
