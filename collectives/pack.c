#include "collectives/pack.h"

#include <errno.h>

int lina_pack_init(struct lina_pack *pack, int nexperts, int ndevices)
{
	if (nexperts < 1 || ndevices < 1)
		return -EINVAL;
	if (nexperts > ndevices ? nexperts % ndevices : ndevices % nexperts)
		return -EINVAL;
	*pack = (struct lina_pack){ .nexperts = nexperts,
		.ndevices = ndevices,
		.per_device = nexperts > ndevices ? nexperts / ndevices : 1,
		.due = LINA_PACK_FIRST_STEPS };
	return 0;
}

int lina_pack_group(const struct lina_pack *pack)
{
	return pack->nexperts / pack->per_device;
}

/* Groups stay whole. */
static bool can_double(const struct lina_pack *pack)
{
	return lina_pack_group(pack) % 2 == 0;
}

bool lina_pack_step(struct lina_pack *pack, double expert_s, double a2a_s)
{
	bool doubles;

	pack->expert_s += expert_s;
	pack->a2a_s += a2a_s;
	if (++pack->steps < pack->due)
		return false;
	doubles = pack->expert_s < pack->a2a_s && can_double(pack);
	if (doubles)
		pack->per_device *= 2;
	pack->steps = 0;
	pack->due = LINA_PACK_NEXT_STEPS;
	pack->expert_s = pack->a2a_s = 0;
	return doubles;
}

int lina_pack_plan(
	const struct lina_pack *pack, int nlayers, int devices_per_node, struct lina_plan **plan_p)
{
	struct lina_plan_shape shape = { .nlayers = nlayers,
		.nexperts = pack->nexperts,
		.ndevices = pack->ndevices,
		.devices_per_node = devices_per_node,
		.slots_per_device = pack->per_device };
	struct lina_plan *plan;
	int err = lina_plan_create(&shape, &plan);

	if (err)
		return err;
	for (int layer = 0; layer < nlayers; layer++) {
		int *experts = lina_plan_experts(plan, layer);
		for (int slot = 0; slot < lina_plan_nslots(&shape); slot++)
			experts[slot] = slot % pack->nexperts;
		lina_plan_share_evenly(plan, layer);
	}
	*plan_p = plan;
	return 0;
}
