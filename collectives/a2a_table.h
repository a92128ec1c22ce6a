/*
 * The placement table of a running job: the one in force, the one read since, and when all ranks
 * know that they have the same. Reads files; else pure. One thread at a time.
 */
#ifndef LINA_COLLECTIVES_A2A_TABLE_H
#define LINA_COLLECTIVES_A2A_TABLE_H

#include <stdbool.h>
#include <sys/types.h>
#include <time.h>

#include "collectives/plan.h"

/* Which file was read last. */
struct lina_table_file {
	dev_t device;
	ino_t inode;
	off_t bytes;
	struct timespec changed;
};

struct lina_tables {
	struct lina_plan *current, *next; /* next: NULL where there is none */
	uint64_t current_id, next_id;     /* what they hold, as a number; 0: none */
	bool agreed;                      /* all ranks have next */
	char *path;                       /* NULL: no file */
	struct lina_table_file file;
	uint64_t nread, nrefused, nswitched;
	char error[320]; /* why the file was refused last */
};

/* Equal for equal plans, and for others by a chance of 2^-64: FNV-1a of what a plan holds. Never
 * 0. */
uint64_t lina_plan_id(const struct lina_plan *plan);

/* With a path the file is read; without one plan is copied. On an error tables->error says why, and
 * nothing needs to be closed. */
int lina_tables_open(struct lina_tables *tables, const char *path, const struct lina_plan *plan);
void lina_tables_close(struct lina_tables *tables);

/* Looks whether the file has changed and reads it; one that cannot be opened, with each call again.
 * A table of the same shape and a later generation becomes the next, unless one is agreed on; any
 * other is refused. */
void lina_tables_poll(struct lina_tables *tables);

/* What every rank has said, this one included, in one exchange: the id of its next table. All ranks
 * come to the same result. */
void lina_tables_agree(struct lina_tables *tables, const uint64_t *next_id, int nranks);

/* The next becomes the current. -EAGAIN: none is agreed on. */
int lina_tables_switch(struct lina_tables *tables);

/* A copy of plan becomes the current; one that was read since is forgotten if it is no later.
 * -EINVAL: it is no plan, or of another shape (error says so); -ENOMEM. */
int lina_tables_set(struct lina_tables *tables, const struct lina_plan *plan);

#endif
