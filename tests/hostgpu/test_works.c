/*
 * Works that are no collective over all ranks, what the executor refuses, and how it ends.
 */
#include "executor.h"
#include "test_world.h"

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- point to point and grouped broadcasts ----------------------------------------------------
 */

enum { P2P_BYTES = 30000, CHUNK_4096 = 0x50, CHUNK_2048 = 0x48 };

static char p2p_byte(int from, int to, size_t i)
{
	return (char)((size_t)from * 31 + (size_t)to * 7 + i * 3 + i / 251);
}

static size_t p2p_bytes(int from, int to, size_t most)
{
	return most * (size_t)((from + 2 * to) % 3) / 2;
}

struct p2p_rank {
	struct abi_p2p works[4];
	char *send[4], *recv[4];
};

static void p2p_make(struct p2p_rank *me, int rank, int n, size_t most, bool ll)
{
	for (int i = 0; i < n; i++) {
		int to = (rank + i) % n, from = (rank - i + n) % n;
		size_t out = p2p_bytes(rank, to, most), in = p2p_bytes(from, rank, most);
		me->send[i] = malloc(out + 1);
		me->recv[i] = malloc(in + 1);
		assert_non_null(me->send[i]);
		assert_non_null(me->recv[i]);
		for (size_t k = 0; k < out; k++)
			me->send[i][k] = p2p_byte(rank, to, k);
		memset(me->recv[i], 0x5a, in + 1);
		me->works[i] = (struct abi_p2p){ .send_addr = me->send[i],
			.recv_addr = me->recv[i],
			.send_bytes = out,
			.recv_bytes = in,
			.send_rank = to,
			.recv_rank = from,
			.nchannels = WORLD_CHANNELS,
			.nsend_channels = WORLD_CHANNELS,
			.nrecv_channels = WORLD_CHANNELS,
			.send_chunk_fp8 = ll ? CHUNK_2048 : CHUNK_4096,
			.recv_chunk_fp8 = ll ? CHUNK_2048 : CHUNK_4096,
			.send_ll = ll,
			.recv_ll = ll };
	}
}

static void p2p_check(struct p2p_rank *me, int rank, int n, size_t most)
{
	for (int i = 0; i < n; i++) {
		int from = (rank - i + n) % n;
		size_t in = p2p_bytes(from, rank, most);
		for (size_t k = 0; k < in; k++)
			assert_int_equal(me->recv[i][k], p2p_byte(from, rank, k));
		assert_int_equal(me->recv[i][in], 0x5a);
		free(me->send[i]);
		free(me->recv[i]);
	}
}

/* All to all, uneven, with sends of nothing and to oneself. */
static void point_to_point(void **state)
{
	enum { RANKS = 4 };
	static const size_t most[] = { 0, 2, 100, P2P_BYTES };
	struct world *w = world_new(RANKS, 0);
	(void)state;
	for (size_t i = 0; i < 2 * sizeof most / sizeof *most; i++) {
		struct p2p_rank ranks[RANKS];
		struct world_kernel kernels[RANKS];
		for (int r = 0; r < RANKS; r++) {
			p2p_make(&ranks[r], r, RANKS, most[i / 2], i % 2);
			kernels[r] = (struct world_kernel){ world_function(FUNC_SENDRECV, ALGO_RING,
								    PROTO_SIMPLE),
				WORK_P2P, ranks[r].works, RANKS, i % 2 ? WORLD_ARGS : WORLD_FIFO };
		}
		world_run(w, kernels);
		for (int r = 0; r < RANKS; r++)
			p2p_check(&ranks[r], r, RANKS, most[i / 2]);
	}
	world_free(w);
}

#if NCCL_VERSION_CODE >= 22900

enum { BCAST_RANKS = 3, BCAST_BYTES = 20000 };

/* Both channels do all of it. */
static void grouped_broadcasts(enum abi_proto proto)
{
	static char in[BCAST_RANKS][BCAST_BYTES], out[BCAST_RANKS][BCAST_RANKS][BCAST_BYTES];
	struct abi_bcast works[BCAST_RANKS][BCAST_RANKS];
	struct world_kernel kernels[BCAST_RANKS];
	struct world *w = world_new(BCAST_RANKS, 0);
	memset(out, 0x5a, sizeof out);
	for (int r = 0; r < BCAST_RANKS; r++) {
		for (size_t i = 0; i < BCAST_BYTES; i++)
			in[r][i] = p2p_byte(r, r, i);
		for (int depth = 0; depth < BCAST_RANKS; depth++) {
			int root = (r + depth) % BCAST_RANKS; /* the ring goes down the ranks */
			works[r][depth] = (struct abi_bcast){ .ring_depth = depth,
				.chunk_size = 1920,
				.sendbuff = in[r],
				.recvbuff = out[r][root],
				.bytes = (size_t)(root + 1) * 5000 };
		}
		kernels[r] =
			(struct world_kernel){ world_function(FUNC_ALLGATHERV, ALGO_RING, proto),
				WORK_BCAST, works[r], BCAST_RANKS, WORLD_ARGS };
	}
	world_run(w, kernels);
	for (int r = 0; r < BCAST_RANKS; r++)
		for (int root = 0; root < BCAST_RANKS; root++)
			for (size_t i = 0; i < BCAST_BYTES; i++)
				assert_int_equal(out[r][root][i], i < (size_t)(root + 1) * 5000
									  ? p2p_byte(root, root, i)
									  : 0x5a);
	world_free(w);
}

static void broadcasts_together(void **state)
{
	(void)state;
	grouped_broadcasts(PROTO_LL);
	grouped_broadcasts(PROTO_LL128);
	grouped_broadcasts(PROTO_SIMPLE);
}

#endif

/* ---- what ends early ---------------------------------------------------------------------------
 */

static void *abort_later(void *flag)
{
	usleep(20000);
	__atomic_store_n((uint32_t *)flag, 1, __ATOMIC_RELEASE);
	return NULL;
}

/* The other rank never comes. */
static void abort_ends_a_kernel(void **state)
{
	float data[8] = { 0 };
	unsigned id = world_function(FUNC_ALLREDUCE, ALGO_TREE, PROTO_SIMPLE);
	struct exec_function fn = exec_function(id);
	struct world *w = world_new(2, 0);
	struct abi_coll work = world_coll(&fn, 8, data, data);
	pthread_t thread;
	(void)state;
	assert_int_equal(pthread_create(&thread, NULL, abort_later, world_abort_flag(w)), 0);
	world_run_one(w, 0, &(struct world_kernel){ id, WORK_COLL, &work, 1, WORLD_ARGS });
	assert_int_equal(*world_abort_flag(w), 1);
	pthread_join(thread, NULL);
	world_free(w);
}

/* Runs in a child; returns what it said before it aborted. */
static const char *last_words(void (*fn)(void), char text[256])
{
	int out[2], status;
	assert_int_equal(pipe(out), 0);
	pid_t child = fork();
	assert_true(child >= 0);
	if (!child) {
		dup2(out[1], 2);
		signal(SIGABRT, SIG_DFL);
		fn();
		_exit(0);
	}
	close(out[1]);
	ssize_t n = read(out[0], text, 255);
	text[n > 0 ? n : 0] = '\0';
	close(out[0]);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
	return text;
}

static void run_nvls(void)
{
	unsigned id = world_function(FUNC_ALLREDUCE, ALGO_NVLS, PROTO_SIMPLE);
	struct exec_function fn = exec_function(id);
	struct world *w = world_new(2, 0);
	struct abi_coll work = world_coll(&fn, 8, NULL, NULL);
	world_run_one(w, 0, &(struct world_kernel){ id, WORK_COLL, &work, 1, WORLD_ARGS });
}

static void run_registered(void)
{
	unsigned id = world_function(FUNC_ALLREDUCE, ALGO_RING, PROTO_SIMPLE);
	struct exec_function fn = exec_function(id);
	struct world *w = world_new(2, 0);
	struct abi_coll work = world_coll(&fn, 8, NULL, NULL);
	work.reg = 1;
	world_run_one(w, 0, &(struct world_kernel){ id, WORK_COLL, &work, 1, WORLD_ARGS });
}

static void run_unknown_kernel(void)
{
	executor_run("ncclSymkDevKernel_AllReduce", NULL);
}

static void run_unknown_function(void)
{
	struct exec_function fn = exec_function(0);
	struct world *w = world_new(2, 0);
	struct abi_coll work = world_coll(&fn, 8, NULL, NULL);
	world_run_one(w, 0,
		&(struct world_kernel){ WORLD_FUNCTIONS - 1, WORK_COLL, &work, 1, WORLD_ARGS });
}

static void what_is_missing_is_named(void **state)
{
	char text[256];
	(void)state;
	assert_non_null(strstr(last_words(run_nvls, text), "AllReduce Sum f32 NVLS SIMPLE"));
	assert_non_null(strstr(last_words(run_registered, text), "registered buffers"));
	assert_non_null(
		strstr(last_words(run_unknown_kernel, text), "ncclSymkDevKernel_AllReduce"));
	assert_non_null(strstr(last_words(run_unknown_function, text), "device function 2047"));
}

/* ---- the kernel of one rank ---------------------------------------------------------------------
 */

static void one_rank_scales(void **state)
{
	const char *kernel = "_ZN3_1213oneRankReduceI13FuncPreMulSumIfEEEvPvS2_mmb";
	float in[5] = { 1, -2, 3, 0.5F, 8 }, out[5] = { 0 }, factor = 3;
	void *dst = out, *src = in;
	size_t n = 5;
	uint64_t arg = (uint64_t)(uintptr_t)&factor;
	bool is_ptr = true;
	void *params[] = { &dst, &src, &n, &arg, &is_ptr };
	_Alignas(16) char packed[64];
	(void)state;
	assert_int_equal(executor_pack("another", params, NULL), 0);
	assert_true(executor_pack(kernel, params, NULL) <= sizeof packed);
	assert_int_equal(
		executor_pack(kernel, params, packed), executor_pack(kernel, params, NULL));
	executor_run(kernel, packed);
	for (int i = 0; i < 5; i++)
		assert_true(out[i] == 3 * in[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(point_to_point),
#if NCCL_VERSION_CODE >= 22900
		cmocka_unit_test(broadcasts_together),
#endif
		cmocka_unit_test(abort_ends_a_kernel),
		cmocka_unit_test(what_is_missing_is_named),
		cmocka_unit_test(one_rank_scales),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
