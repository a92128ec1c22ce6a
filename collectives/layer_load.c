/* Which device, port and NIC carries what of a layer. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "collectives/plan_score.h"

static size_t ndoubles(const struct lina_layer_load *load)
{
	return 3 * (size_t)load->ndevices + 2 * (size_t)load->nnics;
}

int lina_layer_load_create(const struct lina_plan_shape *shape, const struct lina_fabric *fabric,
	struct lina_layer_load **load_p)
{
	struct lina_layer_load *load = malloc(sizeof(*load));
	size_t n = (size_t)shape->ndevices;

	if (!load)
		return -ENOMEM;
	*load = (struct lina_layer_load){ .ndevices = shape->ndevices,
		.devices_per_node = shape->devices_per_node,
		.nnics = fabric->nnics };
	load->device = calloc(ndoubles(load) + 2 * n, sizeof(*load->device));
	if (!load->device) {
		free(load);
		return -ENOMEM;
	}
	load->port_in = load->device + n;
	load->port_out = load->port_in + n;
	load->nic_in = load->port_out + n;
	load->nic_out = load->nic_in + fabric->nnics;
	load->supply = load->nic_out + fabric->nnics;
	load->served = load->supply + n;
	*load_p = load;
	return 0;
}

void lina_layer_load_destroy(struct lina_layer_load *load)
{
	if (!load)
		return;
	free(load->device);
	free(load);
}

void lina_layer_load_clear(struct lina_layer_load *load)
{
	memset(load->device, 0, ndoubles(load) * sizeof(*load->device));
	load->local = load->within = load->between = 0;
}

/* What is left of supply and served when each device has served its own; sums of a node. */
struct rest {
	double supply, served;
};

static struct rest serve_locally(struct lina_layer_load *load, int first, const double *supply,
	const double *served, double tokens)
{
	double even = 1 / (double)load->ndevices;
	struct rest rest = { 0 };

	for (int d = first; d < first + load->devices_per_node; d++) {
		double has = supply ? supply[d] : even, local = fmin(has, served[d]);

		load->device[d] += served[d] * tokens;
		load->local += local * tokens;
		load->supply[d] = has - local;
		load->served[d] = served[d] - local;
		rest.supply += load->supply[d];
		rest.served += load->served[d];
	}
	return rest;
}

/* The devices of a node serve what they can of its tokens, in proportion; the remainder crosses to
 * other nodes. */
static void serve_node(struct lina_layer_load *load, const struct lina_fabric *fabric, int first,
	struct rest rest, double tokens)
{
	double within = fmin(rest.supply, rest.served);
	double stays = rest.supply > 0 ? within / rest.supply : 0;
	double taken = rest.served > 0 ? within / rest.served : 0;

	load->within += within * tokens;
	load->between += (rest.supply - within) * tokens;
	for (int d = first; d < first + load->devices_per_node; d++) {
		double out = load->supply[d] * tokens, in = load->served[d] * tokens;

		load->port_out[d] += stays * out;
		load->port_in[d] += taken * in;
		load->nic_out[fabric->nic[d]] += (1 - stays) * out;
		load->nic_in[fabric->nic[d]] += (1 - taken) * in;
	}
}

void lina_layer_load_add(struct lina_layer_load *load, const struct lina_fabric *fabric,
	const double *supply, const double *served, double tokens)
{
	for (int first = 0; first < load->ndevices; first += load->devices_per_node) {
		struct rest rest = serve_locally(load, first, supply, served, tokens);

		serve_node(load, fabric, first, rest, tokens);
	}
}

double lina_layer_load_comm_ns(
	const struct lina_layer_load *load, const struct lina_fabric *fabric, double token_bytes)
{
	double within = 0, between = 0;

	for (int d = 0; d < load->ndevices; d++)
		within = fmax(within,
			fmax(load->port_in[d], load->port_out[d]) * fabric->port_byte_ns[d]);
	for (int i = 0; i < load->nnics; i++)
		between = fmax(
			between, fmax(load->nic_in[i], load->nic_out[i]) * fabric->nic_byte_ns[i]);
	within = within > 0 ? within * token_bytes + fabric->within_alpha_ns : 0;
	between = between > 0 ? between * token_bytes + fabric->between_alpha_ns : 0;
	return fmax(within, between);
}
