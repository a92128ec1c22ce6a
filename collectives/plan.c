#include "collectives/plan.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int lina_plan_shape_check(const struct lina_plan_shape *shape)
{
	const struct lina_plan_shape *s = shape;
	int ok = s->nlayers >= 1 && s->nlayers <= LINA_LAYERS_MAX && s->nexperts >= 1 &&
		 s->nexperts <= LINA_EXPERTS_MAX && s->ndevices >= 1 &&
		 s->ndevices <= LINA_DEVICES_MAX && s->devices_per_node >= 1 &&
		 s->ndevices % s->devices_per_node == 0 && s->slots_per_device >= 1 &&
		 s->slots_per_device <= LINA_SLOTS_PER_DEVICE_MAX &&
		 lina_plan_nslots(shape) >= s->nexperts;

	return ok ? 0 : -EINVAL;
}

static size_t nslots_of_all(const struct lina_plan_shape *shape)
{
	return (size_t)shape->nlayers * (size_t)lina_plan_nslots(shape);
}

int lina_plan_create(const struct lina_plan_shape *shape, struct lina_plan **plan_p)
{
	int err = lina_plan_shape_check(shape);
	struct lina_plan *plan;
	size_t n;

	if (err)
		return err;
	n = nslots_of_all(shape);
	plan = malloc(sizeof(*plan));
	if (!plan)
		return -ENOMEM;
	*plan = (struct lina_plan){ .shape = *shape,
		.expert = malloc(n * sizeof(*plan->expert)),
		.share = calloc(n, sizeof(*plan->share)) };
	if (!plan->expert || !plan->share) {
		lina_plan_destroy(plan);
		return -ENOMEM;
	}
	for (size_t i = 0; i < n; i++)
		plan->expert[i] = LINA_SLOT_EMPTY;
	*plan_p = plan;
	return 0;
}

void lina_plan_destroy(struct lina_plan *plan)
{
	if (!plan)
		return;
	free(plan->expert);
	free(plan->share);
	free(plan);
}

int lina_plan_copy(const struct lina_plan *plan, struct lina_plan **copy_p)
{
	size_t n = nslots_of_all(&plan->shape);
	int err = lina_plan_create(&plan->shape, copy_p);

	if (err)
		return err;
	(*copy_p)->generation = plan->generation;
	memcpy((*copy_p)->expert, plan->expert, n * sizeof(*plan->expert));
	memcpy((*copy_p)->share, plan->share, n * sizeof(*plan->share));
	return 0;
}

static int replicas_of(const struct lina_plan *plan, int layer, int expert)
{
	const int *experts = lina_plan_experts(plan, layer);
	int n = 0;

	for (int s = 0; s < lina_plan_nslots(&plan->shape); s++)
		n += experts[s] == expert;
	return n;
}

/* Without memory for counts of all experts this asks once for each expert that has not had its
 * turn: a share of 0 marks those. */
void lina_plan_share_evenly(struct lina_plan *plan, int layer)
{
	int nslots = lina_plan_nslots(&plan->shape);
	const int *experts = lina_plan_experts(plan, layer);
	double *shares = lina_plan_shares(plan, layer);

	for (int s = 0; s < nslots; s++)
		shares[s] = 0;
	for (int s = 0; s < nslots; s++) {
		if (experts[s] == LINA_SLOT_EMPTY || shares[s] > 0)
			continue;
		double share = 1.0 / replicas_of(plan, layer, experts[s]);
		for (int t = s; t < nslots; t++)
			if (experts[t] == experts[s])
				shares[t] = share;
	}
}

/* --- check --- */

static int slot_check(const struct lina_plan *plan, int layer, int slot, double *sums,
	struct lina_plan_fault *fault_p)
{
	int expert = lina_plan_experts(plan, layer)[slot];
	double share = lina_plan_shares(plan, layer)[slot];

	*fault_p = (struct lina_plan_fault){ .layer = layer, .slot = slot };
	if (expert == LINA_SLOT_EMPTY) {
		if (share == 0)
			return 0;
		(void)snprintf(fault_p->text, sizeof(fault_p->text),
			"an empty slot has a share of %g", share);
		return -EINVAL;
	}
	if (expert < 0 || expert >= plan->shape.nexperts) {
		(void)snprintf(fault_p->text, sizeof(fault_p->text),
			"expert %d is not from 0 to %d", expert, plan->shape.nexperts - 1);
		return -EINVAL;
	}
	if (!(share >= 0 && share <= 1)) {
		(void)snprintf(fault_p->text, sizeof(fault_p->text),
			"expert %d has a share of %g, which is not from 0 to 1", expert, share);
		return -EINVAL;
	}
	sums[expert] = sums[expert] < 0 ? share : sums[expert] + share;
	return 0;
}

/* sums [nexperts] is for use here. */
static int layer_check(
	const struct lina_plan *plan, int layer, double *sums, struct lina_plan_fault *fault_p)
{
	for (int e = 0; e < plan->shape.nexperts; e++)
		sums[e] = -1; /* no slot */
	for (int s = 0; s < lina_plan_nslots(&plan->shape); s++)
		if (slot_check(plan, layer, s, sums, fault_p))
			return -EINVAL;
	*fault_p = (struct lina_plan_fault){ .layer = layer, .slot = -1 };
	for (int e = 0; e < plan->shape.nexperts; e++) {
		if (fabs(sums[e] - 1) <= LINA_SHARE_PPM * 1e-6)
			continue;
		if (sums[e] < 0)
			(void)snprintf(
				fault_p->text, sizeof(fault_p->text), "expert %d has no slot", e);
		else
			(void)snprintf(fault_p->text, sizeof(fault_p->text),
				"the shares of expert %d have a sum of %.9g, not 1", e, sums[e]);
		return -EINVAL;
	}
	return 0;
}

int lina_plan_check(const struct lina_plan *plan, struct lina_plan_fault *fault_p)
{
	double *sums = malloc((size_t)plan->shape.nexperts * sizeof(*sums));
	struct lina_plan_fault fault;
	int err = 0;

	if (!sums)
		return -ENOMEM;
	for (int l = 0; l < plan->shape.nlayers && !err; l++)
		err = layer_check(plan, l, sums, &fault);
	free(sums);
	if (err)
		*fault_p = fault;
	return err;
}

/* --- replicas --- */

/* Counts the replicas of a layer into first[e + 1], or puts them where first[e] says. */
static void layer_count(const struct lina_plan *plan, int layer, int *first)
{
	const int *experts = lina_plan_experts(plan, layer);

	for (int s = 0; s < lina_plan_nslots(&plan->shape); s++)
		if (experts[s] != LINA_SLOT_EMPTY)
			first[experts[s] + 1]++;
}

static void layer_put(const struct lina_plan *plan, int layer, int *next, int *slots)
{
	const int *experts = lina_plan_experts(plan, layer);

	for (int s = 0; s < lina_plan_nslots(&plan->shape); s++)
		if (experts[s] != LINA_SLOT_EMPTY)
			slots[next[experts[s]]++] = s;
}

int lina_replicas_create(const struct lina_plan *plan, struct lina_replicas **replicas_p)
{
	int nexperts = plan->shape.nexperts;
	size_t n = (size_t)plan->shape.nlayers * (size_t)nexperts;
	struct lina_replicas *r = calloc(1, sizeof(*r));

	if (!r)
		return -ENOMEM;
	r->nlayers = plan->shape.nlayers;
	r->nexperts = nexperts;
	r->first = calloc(n + 1, sizeof(*r->first));
	r->slot = malloc(nslots_of_all(&plan->shape) * sizeof(*r->slot));
	if (!r->first || !r->slot) {
		lina_replicas_destroy(r);
		return -ENOMEM;
	}
	for (int l = 0; l < r->nlayers; l++)
		layer_count(plan, l, r->first + (size_t)l * (size_t)nexperts);
	for (size_t i = 0; i < n; i++)
		r->first[i + 1] += r->first[i];
	/* Putting moves each first to the one after it; one step back puts them right. */
	for (int l = 0; l < r->nlayers; l++)
		layer_put(plan, l, r->first + (size_t)l * (size_t)nexperts, r->slot);
	for (size_t i = n; i > 0; i--)
		r->first[i] = r->first[i - 1];
	r->first[0] = 0;
	*replicas_p = r;
	return 0;
}

void lina_replicas_destroy(struct lina_replicas *replicas)
{
	if (!replicas)
		return;
	free(replicas->first);
	free(replicas->slot);
	free(replicas);
}

/* --- moves --- */

bool lina_plan_has(const int *experts, int n, int expert)
{
	for (int i = 0; i < n; i++)
		if (experts[i] == expert)
			return true;
	return false;
}

int lina_plan_moves(
	const struct lina_plan *before, const struct lina_plan *plan, int layer, int *moves_p)
{
	const struct lina_plan_shape *a = &before->shape, *b = &plan->shape;
	const int *old = lina_plan_experts(before, layer), *new = lina_plan_experts(plan, layer);
	int moves = 0;

	if (a->nexperts != b->nexperts || a->ndevices != b->ndevices || a->nlayers != b->nlayers)
		return -EINVAL;
	for (int d = 0; d < b->ndevices; d++) {
		for (int i = 0; i < b->slots_per_device; i++)
			moves += new[i] != LINA_SLOT_EMPTY &&
				 !lina_plan_has(old, a->slots_per_device, new[i]) &&
				 !lina_plan_has(new, i, new[i]);
		old += a->slots_per_device;
		new += b->slots_per_device;
	}
	*moves_p = moves;
	return 0;
}
