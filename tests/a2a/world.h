/* All devices of a job in one process: layouts, rows moved between arrays, experts that multiply.
 */
#ifndef LINA_TESTS_A2A_WORLD_H
#define LINA_TESTS_A2A_WORLD_H

#include "a2a/cases.h"
#include "collectives/a2a_arrive.h"
#include "collectives/a2a_layout.h"

enum { WORLD_DEVICES = 8, WORLD_CHOICES = 8 };

struct world_device {
	size_t ntokens;
	int32_t *experts;
	float *weights;
	double *token, *result; /* [ntokens] a row has one element */
	struct lina_route *route;
	struct lina_layout *layout;
	struct lina_arrival *arrival;
	struct lina_parcel parcel[WORLD_DEVICES];
};

struct world {
	struct lina_plan *plan;
	int nchoices, layer;
	bool dedup;
	uint32_t capacity;
	struct world_device device[WORLD_DEVICES];
};

/* A plan of ndevices, and up to max_tokens on each device, 0 on some. */
void world_open(struct world *w, uint64_t *random, int ndevices, size_t max_tokens);
void world_close(struct world *w);

/* Makes every layout and arrival, and sends the tokens to the experts and back. */
void world_run(struct world *w);

/* What expert e makes of a value. */
double world_expert(int e, double value);

#endif
