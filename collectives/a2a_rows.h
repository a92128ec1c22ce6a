/* A dispatch's parts: its layout and hellos, and rows on both sides of the exchange. Some are host
 * functions, or are called by them: those take no part in what the caller's thread does. */
#ifndef LINA_COLLECTIVES_A2A_ROWS_H
#define LINA_COLLECTIVES_A2A_ROWS_H

#include "collectives/a2a.h"

/* Room for why a call is refused. */
enum { LINA_WHY_BYTES = 160 };

/* Why, by the hellos, for the error and rank of lina_hello_check. */
void lina_rows_why(const struct lina_call *call, int err, int rank, char *why);

/* What is sent. Errors as of lina_layout_build, with why. */
int lina_rows_layout(struct lina_call *call, const struct lina_route *route, char *why);

/* Says it to all, or err. */
void lina_rows_hello(struct lina_call *call, int err);
void lina_rows_count(struct lina_call *call);

/* A host function: rows and pairs for the other ranks, to where they are sent from. */
void lina_rows_pack(void *arg);

/* What hellos must be like, which were checked, and what they say: parcels, and the batch's slots.
 * -EOVERFLOW. */
struct lina_hello_shape lina_rows_hello_shape(const struct lina_a2a *a2a);
int lina_rows_read_hellos(struct lina_call *call);
void lina_rows_next_ids(struct lina_call *call);

/* A host function: from where rows came in to the batch. What leads to it calls lina_rows_begin
 * first, however it ends. */
void lina_rows_begin(struct lina_call *call);
void lina_rows_unpack(void *arg);

/* fn is the above, or leads to it. */
int lina_rows_launch_pack(struct lina_call *call, cudaHostFn_t fn, cudaStream_t stream);
int lina_rows_launch_unpack(struct lina_call *call, cudaHostFn_t fn, cudaStream_t stream);

#endif
