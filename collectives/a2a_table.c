#include "collectives/a2a_table.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "collectives/plan_io.h"

static int refuse(struct lina_tables *tables, int err, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* The file could not be read: no table was refused, and one may be there. */
static bool is_unread(int err)
{
	return err != -EINVAL && err != -EFBIG;
}

static int refuse(struct lina_tables *tables, int err, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	(void)vsnprintf(tables->error, sizeof(tables->error), format, args);
	va_end(args);
	tables->nrefused += !is_unread(err);
	return err;
}

/* Fowler, Noll, Vo: 64 bits, variant 1a. */
static uint64_t hash(uint64_t h, const void *bytes, size_t n)
{
	const unsigned char *p = bytes;

	for (size_t i = 0; i < n; i++)
		h = (h ^ p[i]) * UINT64_C(0x100000001b3);
	return h;
}

uint64_t lina_plan_id(const struct lina_plan *plan)
{
	size_t n = (size_t)plan->shape.nlayers * (size_t)lina_plan_nslots(&plan->shape);
	uint64_t h = UINT64_C(0xcbf29ce484222325);

	h = hash(h, &plan->shape, sizeof(plan->shape));
	h = hash(h, &plan->generation, sizeof(plan->generation));
	h = hash(h, plan->expert, n * sizeof(*plan->expert));
	h = hash(h, plan->share, n * sizeof(*plan->share));
	return h != 0 ? h : 1;
}

static bool same_shape(const struct lina_plan_shape *a, const struct lina_plan_shape *b)
{
	return a->nlayers == b->nlayers && a->nexperts == b->nexperts &&
	       a->ndevices == b->ndevices && a->devices_per_node == b->devices_per_node &&
	       a->slots_per_device == b->slots_per_device;
}

/* ---- the file -------------------------------------------------------------------------------- */

/* Replacing a table makes a new file, so it has another number or time. */
static bool file_changed(const struct lina_tables *tables, struct lina_table_file *file_p)
{
	struct stat now;

	if (stat(tables->path, &now) != 0)
		return false; /* between two tables, or gone: the one in force stays */
	*file_p = (struct lina_table_file){ now.st_dev, now.st_ino, now.st_size, now.st_mtim };
	return now.st_dev != tables->file.device || now.st_ino != tables->file.inode ||
	       now.st_size != tables->file.bytes ||
	       now.st_mtim.tv_sec != tables->file.changed.tv_sec ||
	       now.st_mtim.tv_nsec != tables->file.changed.tv_nsec;
}

static int read_file(struct lina_tables *tables, struct lina_plan **plan_p)
{
	struct lina_plan_text_fault fault = { 0 };
	int err = lina_plan_read(tables->path, plan_p, &fault);

	if (!err) {
		tables->nread++;
		return 0;
	}
	if (fault.line > 0)
		return refuse(tables, err, "%.150s:%d:%d: %s", tables->path, fault.line,
			fault.column, fault.text);
	return refuse(tables, err, "%.150s: %s", tables->path,
		fault.text[0] != '\0' ? fault.text : strerror(-err));
}

static int check_next(struct lina_tables *tables, const struct lina_plan *plan)
{
	if (!same_shape(&plan->shape, &tables->current->shape))
		return refuse(tables, -EINVAL,
			"%.150s: %d layers, %d experts, %d devices with %d slots: not the shape of "
			"the table in force",
			tables->path, plan->shape.nlayers, plan->shape.nexperts,
			plan->shape.ndevices, plan->shape.slots_per_device);
	if (plan->generation <= tables->current->generation)
		return refuse(tables, -EINVAL,
			"%.150s: generation %" PRIu64 " is not later than %" PRIu64
			", which is in force",
			tables->path, plan->generation, tables->current->generation);
	return 0;
}

static void forget_next(struct lina_tables *tables)
{
	lina_plan_destroy(tables->next);
	tables->next = NULL;
	tables->next_id = 0;
	tables->agreed = false;
}

void lina_tables_poll(struct lina_tables *tables)
{
	struct lina_table_file file;
	struct lina_plan *plan;

	if (tables->path == NULL || tables->agreed || !file_changed(tables, &file))
		return;
	int err = read_file(tables, &plan);
	/* What kept it from being read, as too many open files, may pass. */
	if (!err || !is_unread(err))
		tables->file = file;
	if (err)
		return;
	if (lina_plan_id(plan) == tables->current_id) {
		lina_plan_destroy(plan);
		return;
	}
	if (check_next(tables, plan) != 0) {
		lina_plan_destroy(plan);
		return;
	}
	forget_next(tables);
	tables->next = plan;
	tables->next_id = lina_plan_id(plan);
	tables->error[0] = '\0';
}

/* ---- all ranks ------------------------------------------------------------------------------- */

void lina_tables_agree(struct lina_tables *tables, const uint64_t *next_id, int nranks)
{
	bool same = tables->next != NULL;

	for (int r = 0; r < nranks; r++)
		same = same && next_id[r] == tables->next_id;
	tables->agreed = tables->agreed || same;
}

static void become_current(struct lina_tables *tables, struct lina_plan *plan)
{
	lina_plan_destroy(tables->current);
	tables->current = plan;
	tables->current_id = lina_plan_id(plan);
}

int lina_tables_switch(struct lina_tables *tables)
{
	struct lina_plan *next = tables->next;

	if (!tables->agreed)
		return -EAGAIN;
	tables->next = NULL;
	forget_next(tables);
	become_current(tables, next);
	tables->nswitched++;
	return 0;
}

static int check_plan(struct lina_tables *tables, const struct lina_plan *plan)
{
	struct lina_plan_fault fault = { 0 };
	int err = lina_plan_shape_check(&plan->shape);

	if (err)
		return refuse(tables, err, "a plan of a shape that cannot be");
	err = lina_plan_check(plan, &fault);
	if (err)
		return refuse(tables, err, "layer %d: %s", fault.layer, fault.text);
	return 0;
}

int lina_tables_set(struct lina_tables *tables, const struct lina_plan *plan)
{
	struct lina_plan *copy;
	int err = check_plan(tables, plan);

	if (!err && !same_shape(&plan->shape, &tables->current->shape))
		err = refuse(tables, -EINVAL, "not the shape of the plan in force");
	if (!err)
		err = lina_plan_copy(plan, &copy);
	if (err)
		return err;
	if (tables->next != NULL && tables->next->generation <= plan->generation)
		forget_next(tables);
	become_current(tables, copy);
	tables->nswitched++;
	return 0;
}

/* ---- open and close -------------------------------------------------------------------------- */

static int open_current(struct lina_tables *tables, const struct lina_plan *plan)
{
	struct lina_plan *current;
	int err;

	if (tables->path == NULL) {
		err = check_plan(tables, plan);
		if (!err)
			err = lina_plan_copy(plan, &current);
	} else {
		(void)file_changed(tables, &tables->file);
		err = read_file(tables, &current);
	}
	if (!err) {
		tables->current = current;
		tables->current_id = lina_plan_id(current);
	}
	return err;
}

int lina_tables_open(struct lina_tables *tables, const char *path, const struct lina_plan *plan)
{
	*tables = (struct lina_tables){ 0 };
	if ((path == NULL) == (plan == NULL))
		return refuse(tables, -EINVAL, "one placement is wanted: a table's path or a plan");
	if (path != NULL && (tables->path = strdup(path)) == NULL)
		return refuse(tables, -ENOMEM, "no memory");
	int err = open_current(tables, plan);
	if (err) {
		if (tables->error[0] == '\0')
			(void)refuse(tables, err, "%s", strerror(-err));
		free(tables->path);
		tables->path = NULL;
	}
	return err;
}

void lina_tables_close(struct lina_tables *tables)
{
	lina_plan_destroy(tables->next);
	lina_plan_destroy(tables->current);
	free(tables->path);
}
