/* Placement tables out: the only place that knows how a plan is written. */
#include <errno.h>
#include <locale.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "collectives/plan_io.h"

/* Text that grows; once memory was not to be had it stays failed. */
struct text {
	char *chars;
	size_t used, room;
	bool failed;
};

static bool text_reserve(struct text *t, size_t bytes)
{
	size_t room = t->room ? t->room : 4096;
	char *chars;

	if (t->failed || t->room - t->used >= bytes)
		return !t->failed;
	while (room - t->used < bytes)
		room *= 2;
	chars = realloc(t->chars, room);
	t->failed = !chars;
	if (!chars)
		return false;
	t->chars = chars;
	t->room = room;
	return true;
}

static void put(struct text *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* At most 128 characters. */
static void put(struct text *t, const char *fmt, ...)
{
	enum { ONE_MAX = 128 };
	va_list args;

	if (!text_reserve(t, ONE_MAX))
		return;
	va_start(args, fmt);
	t->used += (size_t)vsnprintf(t->chars + t->used, ONE_MAX, fmt, args);
	va_end(args);
}

static void put_header(struct text *t, const struct lina_plan *plan)
{
	const struct lina_plan_shape *s = &plan->shape;

	put(t, "lina-placement %d\n", LINA_PLAN_FILE_VERSION);
	put(t, "layers %d\nexperts %d\n", s->nlayers, s->nexperts);
	put(t, "devices %d\ndevices-per-node %d\n", s->ndevices, s->devices_per_node);
	put(t, "slots-per-device %d\n", s->slots_per_device);
	put(t, "generation %llu\n", (unsigned long long)plan->generation);
}

/* Whether the replicas of expert number i (over all layers) have the shares that need no words. */
static bool is_even(const struct lina_plan *plan, const struct lina_replicas *replicas, size_t i)
{
	const double *shares = lina_plan_shares(plan, (int)(i / (size_t)replicas->nexperts));
	int first = replicas->first[i], n = replicas->first[i + 1] - first;

	for (int r = first; r < first + n; r++)
		if (shares[replicas->slot[r]] != 1.0 / n)
			return false;
	return true;
}

static void put_slot(struct text *t, const struct lina_plan *plan,
	const struct lina_replicas *replicas, int layer, int slot)
{
	int expert = lina_plan_experts(plan, layer)[slot];
	double share = lina_plan_shares(plan, layer)[slot];

	if (expert == LINA_SLOT_EMPTY)
		put(t, " -");
	else if (is_even(plan, replicas,
			 (size_t)layer * (size_t)replicas->nexperts + (size_t)expert))
		put(t, " %d", expert);
	else
		put(t, " %d:%.17g", expert, share);
}

static void put_layers(
	struct text *t, const struct lina_plan *plan, const struct lina_replicas *replicas)
{
	int per_device = plan->shape.slots_per_device;

	for (int l = 0; l < plan->shape.nlayers; l++) {
		put(t, "layer %d\n", l);
		for (int s = 0; s < lina_plan_nslots(&plan->shape); s++) {
			if (s % per_device == 0)
				put(t, "device %d:", s / per_device);
			put_slot(t, plan, replicas, l, s);
			if (s % per_device == per_device - 1)
				put(t, "\n");
		}
	}
}

int lina_plan_encode(const struct lina_plan *plan, char **text_p, size_t *bytes_p)
{
	struct lina_replicas *replicas;
	struct text t = { 0 };
	int err = lina_replicas_create(plan, &replicas);

	if (err)
		return err;
	/* Shares with a point, whatever locale the program has set. */
	locale_t before = uselocale(newlocale(LC_ALL_MASK, "C", (locale_t)0));
	put_header(&t, plan);
	put_layers(&t, plan, replicas);
	put(&t, "end\n");
	(void)uselocale(before);
	lina_replicas_destroy(replicas);
	if (t.failed) {
		free(t.chars);
		return -ENOMEM;
	}
	*text_p = t.chars;
	*bytes_p = t.used;
	return 0;
}
