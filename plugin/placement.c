#include "plugin/placement.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "collectives/plan_io.h"
#include "plugin/log.h"

enum { RANKS_MAX = 256 }; /* communicators beyond are not known */

static struct {
	int ndevices; /* 0: no table */
	double *part; /* [ndevices] */
} table;

static struct {
	pthread_mutex_t lock;
	int n;     /* All fields: guarded by lock */
	bool said; /* which device this process is */
	struct known_rank {
		uint64_t comm_id;
		int rank, nranks;
	} known[RANKS_MAX];
} ranks = { .lock = PTHREAD_MUTEX_INITIALIZER };

/* --- the table --- */

static void layer_add(const struct lina_plan *plan, const struct lina_replicas *replicas, int layer)
{
	const struct lina_plan_shape *shape = &plan->shape;
	const int *expert = lina_plan_experts(plan, layer);
	const double *share = lina_plan_shares(plan, layer);

	for (int slot = 0; slot < lina_plan_nslots(shape); slot++) {
		if (expert[slot] == LINA_SLOT_EMPTY)
			continue;
		const int *first = &replicas->first[layer * shape->nexperts + expert[slot]];
		table.part[lina_plan_device_of(shape, slot)] += (first[1] - first[0]) * share[slot];
	}
}

/* An expert has a slot at least, so the sum is not 0. */
static void parts_scale(int ndevices)
{
	double sum = 0;

	for (int d = 0; d < ndevices; d++)
		sum += table.part[d];
	for (int d = 0; d < ndevices; d++)
		table.part[d] /= sum;
}

static bool parts_make(const struct lina_plan *plan)
{
	struct lina_replicas *replicas;

	if (lina_replicas_create(plan, &replicas) != 0)
		return false;
	table.part = calloc((size_t)plan->shape.ndevices, sizeof(*table.part));
	for (int layer = 0; layer < plan->shape.nlayers && table.part != NULL; layer++)
		layer_add(plan, replicas, layer);
	if (table.part != NULL)
		parts_scale(plan->shape.ndevices);
	lina_replicas_destroy(replicas);
	return table.part != NULL;
}

bool lina_placement_open(const char *path)
{
	struct lina_plan_text_fault fault = { .line = 0 };
	struct lina_plan *plan;

	if (path[0] == '\0')
		return false;
	if (lina_plan_read(path, &plan, &fault) != 0) {
		lina_warn("LINA_PLACEMENT: %s:%d:%d: %s; the plugin goes on without the table",
			path, fault.line, fault.column, fault.text);
		return false;
	}
	if (parts_make(plan)) {
		table.ndevices = plan->shape.ndevices;
		lina_info("LINA_PLACEMENT: %s has %d devices", path, table.ndevices);
	} else {
		lina_warn("LINA_PLACEMENT: %s: no memory; the plugin goes on without the table",
			path);
	}
	lina_plan_destroy(plan);
	return table.ndevices > 0;
}

void lina_placement_close(void)
{
	free(table.part);
	table.part = NULL;
	table.ndevices = 0;
}

double lina_placement_part(int device)
{
	return device >= 0 && device < table.ndevices ? table.part[device] : 0;
}

/* --- ranks --- */

void lina_placement_rank_add(uint64_t comm_id, int rank, int nranks)
{
	pthread_mutex_lock(&ranks.lock);
	if (ranks.n < RANKS_MAX)
		ranks.known[ranks.n++] = (struct known_rank){ comm_id, rank, nranks };
	pthread_mutex_unlock(&ranks.lock);
}

void lina_placement_rank_remove(uint64_t comm_id, int rank)
{
	pthread_mutex_lock(&ranks.lock);
	for (int i = 0; i < ranks.n; i++) {
		if (ranks.known[i].comm_id != comm_id || ranks.known[i].rank != rank)
			continue;
		ranks.known[i] = ranks.known[--ranks.n];
		break;
	}
	pthread_mutex_unlock(&ranks.lock);
}

/* A process that is several ranks of a communicator cannot tell which one listens. */
int lina_placement_device(uint64_t comm_id)
{
	int device = LINA_DEVICE_UNKNOWN, found = 0;

	pthread_mutex_lock(&ranks.lock);
	for (int i = 0; i < ranks.n; i++) {
		const struct known_rank *k = &ranks.known[i];
		if (k->comm_id != comm_id || k->nranks != table.ndevices)
			continue;
		device = k->rank;
		found++;
	}
	bool first = found == 1 && !ranks.said;
	ranks.said |= first;
	pthread_mutex_unlock(&ranks.lock);
	if (first)
		lina_info("LINA_PLACEMENT: this process is device %d of the table", device);
	return found == 1 ? device : LINA_DEVICE_UNKNOWN;
}
