#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "collectives/moetuner.h"
#include "collectives/place_parts.h"

struct lina_moetuner_settings lina_moetuner_settings_default(void)
{
	return (struct lina_moetuner_settings){
		.time_limit_s = 10, .gap = 0.025, .polish = true, .slack = 0.05
	};
}

/* Arrays of both stages. */
struct tuner {
	const struct lina_place *place;
	const struct lina_moetuner_settings *settings;
	int ndevices, nexperts, nlayers, capacity;
	bool equal;      /* all clusters have capacity experts */
	int *cluster;    /* [nlayers][nexperts]; later the device of each expert */
	int *sizes;      /* [nlayers][ndevices] */
	int *device;     /* [nlayers][ndevices] of each cluster */
	double *traffic; /* [nlayers - 1][ndevices][ndevices] tokens */
	double *byte_ns; /* [ndevices][ndevices] */
};

static int tuner_create(struct tuner *t)
{
	size_t nd = (size_t)t->ndevices, nl = (size_t)t->nlayers, ne = (size_t)t->nexperts;

	t->cluster = calloc(nl * (ne + 2 * nd), sizeof(*t->cluster));
	t->traffic = calloc(nl * nd * nd, sizeof(*t->traffic));
	if (!t->cluster || !t->traffic) {
		free(t->cluster);
		free(t->traffic);
		return -ENOMEM;
	}
	t->sizes = t->cluster + nl * ne;
	t->device = t->sizes + nl * nd;
	t->byte_ns = t->traffic + (nl - 1) * nd * nd;
	return 0;
}

static int make_clusters(struct tuner *t, double *gap_p)
{
	int err = 0;

	*gap_p = 0;
	for (int l = 0; l < t->nlayers && !err; l++) {
		double gap = 0;
		int *cluster = t->cluster + (size_t)l * (size_t)t->nexperts;

		err = lina_moetuner_clusters(lina_counts_layer(t->place->score.counts, l),
			t->nexperts, t->ndevices, t->capacity, t->settings, cluster, &gap);
		*gap_p = fmax(*gap_p, gap);
		for (int e = 0; e < t->nexperts && !err; e++)
			t->sizes[l * t->ndevices + cluster[e]]++;
	}
	return err;
}

static void sum_traffic(struct tuner *t)
{
	int n = t->nexperts;

	for (int p = 0; p + 1 < t->nlayers; p++) {
		const double *pair = lina_transitions_pair(t->place->score.transitions, p);
		const int *from = t->cluster + (size_t)p * (size_t)n, *to = from + n;

		for (int a = 0; a < n; a++)
			for (int b = 0; b < n; b++)
				t->traffic[(p * t->ndevices + from[a]) * t->ndevices + to[b]] +=
					pair[a * n + b];
	}
}

static void take_links(struct tuner *t)
{
	const struct lina_fabric *f = t->place->score.fabric;
	const struct lina_plan_shape *shape = &t->place->shape;

	for (int g = 0; g < t->ndevices; g++)
		for (int h = 0; h < t->ndevices; h++) {
			double *byte_ns = &t->byte_ns[g * t->ndevices + h];

			if (g == h)
				*byte_ns = 0;
			else if (lina_plan_node_of(shape, g) == lina_plan_node_of(shape, h))
				*byte_ns = fmax(f->port_byte_ns[g], f->port_byte_ns[h]);
			else
				*byte_ns =
					fmax(f->nic_byte_ns[f->nic[g]], f->nic_byte_ns[f->nic[h]]);
		}
}

/* Exactly where that can be, else by the program where it is small, else by swaps. */
static int route(struct tuner *t, struct lina_moetuner_report *report)
{
	const struct lina_chain chain = { .npairs = t->nlayers - 1,
		.n = t->ndevices,
		.traffic = t->traffic,
		.byte_ns = t->byte_ns };
	int per_device = (t->nexperts * t->nlayers + t->ndevices - 1) / t->ndevices;
	const int *sizes = t->equal ? NULL : t->sizes;
	int err = t->equal ? lina_chain_solve(&chain, t->device) : -E2BIG;

	*report = (struct lina_moetuner_report){ .load_gap = report->load_gap,
		.routing = LINA_ROUTING_CHAIN };
	if (err == -E2BIG && t->ndevices <= LINA_CHAIN_MAX) {
		report->routing = LINA_ROUTING_PROGRAM;
		err = lina_chain_program(
			&chain, sizes, per_device, t->settings, t->device, &report->routing_gap);
	}
	if (err != -E2BIG && err != -ENOENT)
		return err;
	report->routing = LINA_ROUTING_SWAPS;
	report->routing_gap = -1;
	for (int i = 0; i < t->nlayers * t->ndevices; i++)
		t->device[i] = i % t->ndevices;
	lina_chain_swap(&chain, sizes, t->capacity * t->nlayers, t->device);
	return 0;
}

/* The device of each expert takes the place of its cluster. */
static void settle(struct tuner *t)
{
	for (int l = 0; l < t->nlayers; l++)
		for (int e = 0; e < t->nexperts; e++) {
			int *cluster = &t->cluster[l * t->nexperts + e];

			*cluster = t->device[l * t->ndevices + *cluster];
		}
}

static void fill_plan(const struct tuner *t, struct lina_plan *plan)
{
	for (int l = 0; l < t->nlayers; l++) {
		for (int e = 0; e < t->nexperts; e++)
			(void)lina_device_put(&plan->shape, lina_plan_experts(plan, l),
				t->cluster[l * t->nexperts + e], e);
		lina_plan_share_evenly(plan, l);
	}
}

static int tune(struct tuner *t, struct lina_moetuner_report *report)
{
	int err = make_clusters(t, &report->load_gap);

	if (err)
		return err;
	t->equal = t->nexperts == t->ndevices * t->capacity;
	sum_traffic(t);
	take_links(t);
	err = route(t, report);
	if (err)
		return err;
	settle(t);
	return t->settings->polish ? lina_moetuner_polish(t->place, t->settings->slack, t->cluster)
				   : 0;
}

int lina_place_moetuner(const struct lina_place *place,
	const struct lina_moetuner_settings *settings, struct lina_plan **plan_p,
	struct lina_moetuner_report *report_p)
{
	const struct lina_plan_shape *shape = &place->shape;
	struct tuner t = { .place = place,
		.settings = settings,
		.ndevices = shape->ndevices,
		.nexperts = shape->nexperts,
		.nlayers = shape->nlayers };
	struct lina_moetuner_report report = { 0 };
	struct lina_plan *plan = NULL;
	int err = lina_moetuner_available() ? 0 : -ENOTSUP;

	if (!err && (!place->score.transitions || !place->score.fabric))
		err = -EINVAL;
	if (!err)
		err = lina_place_begin(place, &plan);
	if (err)
		return err;
	/* Experts in even numbers where they divide, as the paper's machines have them. */
	t.capacity = (t.nexperts + t.ndevices - 1) / t.ndevices;
	err = tuner_create(&t);
	if (!err) {
		err = tune(&t, &report);
		if (!err)
			fill_plan(&t, plan);
		free(t.cluster);
		free(t.traffic);
	}
	if (err) {
		lina_plan_destroy(plan);
		return err;
	}
	*plan_p = plan;
	if (report_p)
		*report_p = report;
	return 0;
}
