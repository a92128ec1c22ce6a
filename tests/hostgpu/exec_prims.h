/*
 * One step of a collective on one rank: take a piece from up to three peers, combine it with the
 * rank's own data, keep it and pass it on. Never blocks: exec_prims_advance() does what can be
 * done now. The protocols differ in how a piece lies in a connection's buffer and how its arrival
 * is seen; exec_protos has one row for each.
 */
#ifndef HOSTGPU_EXEC_PRIMS_H
#define HOSTGPU_EXEC_PRIMS_H

#include "exec_reduce.h"
#include "nccl_abi.h"

#include <stdbool.h>

#define EXEC_LOAD(p)     __atomic_load_n((p), __ATOMIC_ACQUIRE)
#define EXEC_STORE(p, v) __atomic_store_n((p), (v), __ATOMIC_RELEASE)

enum {
	EXEC_PEERS = ABI_TREE_ARITY, /* most peers on one side */
	/* Bytes combined at a time: they stay in the first-level cache, and are whole lines of
	 * every protocol (8 bytes of LL, 120 of LL128) and whole elements. */
	EXEC_BLOCK_BYTES = 7680,
};

/* Where a step takes its own data from. */
enum exec_source { SOURCE_NONE, SOURCE_INPUT, SOURCE_OUTPUT };

/* One step of an algorithm. Offsets and counts are in elements; no elements is still a step. */
struct exec_op {
	bool recv, send; /* from all peers on that side, to all */
	enum exec_source source;
	bool keep;     /* write the result to the output */
	bool last_sum; /* the result is the sum of all ranks */
	int64_t src, dst, n;
};

/* One end of a connection while a kernel uses it. */
struct exec_end {
	struct abi_conn *conn;
	uint64_t step;
	char *slot;     /* of the step at hand */
	size_t arrived; /* LL, LL128: lines of it that are seen complete */
};

struct exec_proto;
struct exec_prims {
	/* Set by the caller before exec_prims_open(). */
	enum abi_proto protocol;
	int slices_per_chunk, steps_per_slice; /* of Simple; 1, 1 of the others */
	size_t step_bytes;                     /* of the protocol's buffers */
	size_t elem_bytes;
	const char *in;
	char *out;
	struct exec_reduction reduction; /* where an op both receives and has a source */

	const struct exec_proto *proto;
	int nrecv, nsend;
	struct exec_end recv[EXEC_PEERS], send[EXEC_PEERS];
	struct exec_op op; /* in progress */
	int slice, slices; /* slices of it done, in all; equal: none in progress */
	int64_t done, slice_elems;
};

/* Takes over the connections, at most EXEC_PEERS a side; close leaves them as the next kernel
 * expects them. */
void exec_prims_open(struct exec_prims *p, struct abi_conn *const *recv, int nrecv,
	struct abi_conn *const *send, int nsend);
void exec_prims_close(struct exec_prims *p);

/* Begins an op. None may be in progress. */
void exec_prims_begin(struct exec_prims *p, const struct exec_op *op);
bool exec_prims_busy(const struct exec_prims *p);

/* Does the next slice of the op in progress; false: it cannot be done yet. */
bool exec_prims_advance(struct exec_prims *p);

/*
 * A protocol. bytes: data in the slice at hand; at: offset of data in it, a multiple of the
 * block size.
 */
struct exec_proto {
	/* Whether all of the slice is here. Sets e->slot. */
	bool (*arrived)(const struct exec_prims *p, struct exec_end *e, size_t bytes);
	/* The data at an offset, either in place or laid out in buffer. */
	const void *(*load)(const struct exec_end *e, size_t at, size_t bytes, void *buffer);
	/* Takes the slot that was granted: sets e->slot and tells the proxy its size. */
	void (*claim)(const struct exec_prims *p, struct exec_end *e, size_t bytes);
	/* Where data may be put in place; NULL: nowhere. */
	void *(*place)(const struct exec_end *e, size_t at);
	void (*store)(const struct exec_end *e, size_t at, const void *data, size_t bytes);
	/* All of the slice is stored. */
	void (*post)(const struct exec_prims *p, struct exec_end *e, size_t bytes);
};
extern const struct exec_proto exec_simple, exec_ll, exec_ll128;

#endif
