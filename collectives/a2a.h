/* The inside of lina_a2a: what its files share. */
#ifndef LINA_COLLECTIVES_A2A_H
#define LINA_COLLECTIVES_A2A_H

#include <nccl.h>

#include "collectives/a2a_arrive.h"
#include "collectives/a2a_hello.h"
#include "collectives/a2a_layout.h"
#include "collectives/a2a_pack.h"
#include "collectives/a2a_table.h"
#include "collectives/cuda_packing.h"
#include "collectives/lina.h"

enum { LINA_DEPTH_MAX = 16 };

/* A buffer that only grows. */
struct lina_buffer {
	char *at;
	size_t bytes;
	bool device; /* on the GPU, where the processor does not look; else both can address it */
};

/* Rows are moved six times, in this order. */
enum lina_stage {
	LINA_STAGE_SEND,   /* tokens to where they are sent from */
	LINA_STAGE_KEEP,   /* those that stay, to where the others come in */
	LINA_STAGE_ARRIVE, /* from there to the batch */
	LINA_STAGE_BACK,   /* results to where they are sent from */
	LINA_STAGE_STAY,   /* those that stay, to where the others come in */
	LINA_STAGE_SUM,    /* from there to the sums */
	LINA_NSTAGES
};

/* Where kernels pack: what a host function found out, for the kernel after it on the stream. */
struct lina_index {
	size_t max;       /* rows, and terms, that there is room for */
	uint32_t *host;   /* n, to [max], begin [max + 1], row [max], weight [max] */
	uint32_t *device; /* a copy */
	uint32_t nterms;  /* the host function's */
};

/* What goes to a rank and comes from it: places in the two buffers, and bytes. */
struct lina_leg {
	size_t send_at, send_bytes, recv_at, recv_bytes;
};

/* A dispatch and its combine. The layout and what is sent belong to the stream from the first host
 * function of a dispatch to the last of its combine; `done` is recorded after that. */
struct lina_call {
	struct lina_batch batch; /* what the caller sees */
	struct lina_a2a *a2a;
	bool open;             /* between dispatch and combine or release; the host's */
	bool used;             /* done has been recorded */
	cudaEvent_t done, met; /* met: the hellos are there */
	struct lina_tokens tokens;
	struct lina_layout *layout;
	struct lina_arrival *arrival;
	struct lina_parcel *parcel;      /* [nranks] */
	uint32_t *slot_begin;            /* [nslots + 1] the batch's */
	uint32_t *home, *away;           /* [nranks] first row of each rank in near and in far */
	struct lina_leg *leg, *pair_leg; /* [nranks] rows, and pairs */
	struct lina_buffer hello_out, hello_in; /* [nranks] of hellos */
	struct lina_buffer pairs_out,
		pairs_in;           /* of struct lina_pair, where duplicates are removed */
	struct lina_buffer near;    /* rows of this rank's tokens, out and back */
	struct lina_buffer far;     /* rows of the other ranks, in and back */
	struct lina_buffer rows;    /* the batch's */
	struct lina_buffer choices; /* where kernels pack: experts and weights of the tokens */
	struct lina_index index[LINA_NSTAGES];
	uint64_t table_id, next_id; /* what the hellos say */
	const void *made;           /* combine: the experts' results, */
	void *out;                  /* and where the sums go */
	int err;                    /* of the host functions; 0: all is well */
};

/* The exchange of settings. */
struct lina_agreement_call {
	struct lina_buffer said; /* [nranks] of all ranks, and then what this one sends */
	struct lina_leg *leg;    /* [nranks] */
	cudaStream_t stream;
	cudaEvent_t event;
	bool launched;
};

struct lina_a2a {
	ncclComm_t comm;
	int rank, nranks, nslots;
	struct lina_a2a_settings settings;
	size_t row_bytes;
	enum lina_element element;
	const struct lina_cuda_packing *cuda; /* NULL: the processor packs */
	struct lina_tables tables;
	struct lina_route **route; /* [nlayers] of the table in force, made when first needed */
	struct lina_call *call;    /* [depth] */
	struct lina_call *latest;  /* the last dispatch; NULL: none */
	int ncalls;         /* since the beginning, modulo depth: where a free one is looked for */
	uint64_t *next_ids; /* [nranks] of the last exchange */
	struct lina_leg *hello_leg;    /* [nranks] always the same */
	struct lina_peer_bytes *order; /* [nranks] scratch of lina_exchange */
	struct lina_agreement_call agreement;
	int *empty;          /* [nslots] LINA_SLOT_EMPTY */
	int failed;          /* NCCL or CUDA has: nothing works any more */
	bool stream_claimed; /* a host function has found an error, the first; atomic */
	int stream_err;      /* that error, once its text is there; atomic */
	char stream_error[160];
	struct lina_a2a_stats stats; /* the dropped and rows are atomic */
};

/* ---- calls (a2a_call.c) ---- */

int lina_call_open(struct lina_a2a *a2a, struct lina_call *call);
void lina_call_close(struct lina_call *call);

void lina_buffer_free(struct lina_a2a *a2a, struct lina_buffer *buffer);

/* Room for so many bytes of memory that the processor and NCCL can address. What was in it is lost.
 * -ENOMEM: it is as before. */
int lina_buffer_reserve(struct lina_a2a *a2a, struct lina_buffer *buffer, size_t bytes);

/* Waits for the event, looking for NCCL's errors. -EIO; -ETIMEDOUT. */
int lina_a2a_wait(struct lina_a2a *a2a, cudaEvent_t event);

/* The same for an event of the call's; the error names the ranks whose hellos have not come. */
int lina_call_wait(struct lina_call *call, cudaEvent_t event);

/* ---- agreement (a2a_agree.c) ---- */

/* Collective whatever err is, this rank's so far, which stays where it is one: do all ranks have
 * the same? -EINVAL, -ECANCELED; after -EIO and -ETIMEDOUT the exchange may be under way. */
int lina_a2a_agree(struct lina_a2a *a2a, int err);

/* What it has is given back. An error: its stream is still at work, and all that it uses stays. */
int lina_a2a_agree_end(struct lina_a2a *a2a);

/* The route of a layer of the table in force. */
int lina_a2a_route(struct lina_a2a *a2a, int layer, const struct lina_route **route_p);
void lina_a2a_routes_forget(struct lina_a2a *a2a, int nlayers);

/* A host function found an error. */
void lina_a2a_stream_fail(struct lina_a2a *a2a, int err, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Rows of rank r, there and back. */
static inline uint32_t lina_call_rows_to(const struct lina_call *call, int r)
{
	return call->layout->row_begin[r + 1] - call->layout->row_begin[r];
}

/* ---- moving rows (a2a_move.c) ---- */

/* Room in the index of a stage, which no stream must be using; nothing where the processor packs.
 */
int lina_index_reserve(struct lina_a2a *a2a, struct lina_index *index, size_t max);
void lina_index_free(struct lina_a2a *a2a, struct lina_index *index);

/* For host functions, each between lina_stage_begin and its end: the processor moves the rows at
 * once, for a kernel they are noted. dst[first + i] = src[row[i]], or the sum of terms i, for i <
 * n. Rows are the call's; stages take the same dst and src each time. */
void lina_stage_begin(struct lina_call *call, enum lina_stage stage);
void lina_stage_gather(struct lina_call *call, enum lina_stage stage, void *dst, size_t first,
	const void *src, const uint32_t *row, size_t n);
void lina_stage_sum(struct lina_call *call, enum lina_stage stage, void *dst, size_t first,
	const void *src, const struct lina_terms *terms, size_t n);
void lina_stage_zero(struct lina_call *call, enum lina_stage stage, void *dst, size_t n);

/* After that host function: puts on the stream what moves the rows that it noted. summed: by
 * lina_stage_sum, or zeros. */
int lina_stage_run(struct lina_call *call, enum lina_stage stage, void *dst, const void *src,
	bool summed, cudaStream_t stream);

/* ---- exchanges (a2a_exchange.c) ---- */

struct lina_exchange {
	const char *send;
	char *recv;
	const struct lina_leg *leg; /* [nranks]; 0 bytes are not sent; the rank's own is not used */
};

/* [nranks] of what lina_exchange needs; NULL: no memory. free() ends it. */
struct lina_peer_bytes *lina_exchange_scratch(int nranks);

/* All sends and receives of nparts exchanges in one group, those to the peers that get most
 * first. */
int lina_exchange(
	struct lina_a2a *a2a, const struct lina_exchange *part, int nparts, cudaStream_t stream);

#endif
