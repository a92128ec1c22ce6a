/*
 * The placement table: a plan as text, which lina-plan writes and a job reads. libc alone.
 *
 *     lina-placement 1
 *     layers 2
 *     experts 4
 *     devices 2
 *     devices-per-node 1
 *     slots-per-device 3
 *     generation 7
 *     layer 0
 *     device 0: 0 1 2
 *     device 1: 3 0 -
 *     layer 1
 *     device 0: 0:0.25 1 2
 *     device 1: 3 0:0.75 -
 *     end
 *
 * In a layer there is a line for each device, in ascending order, with the expert in each of its
 * slots; "-" is an empty one. EXPERT:SHARE gives a replica its share of the expert's tokens; an
 * expert has shares at all its replicas or at none, and at none means even ones. Words are
 * separated by spaces or tabs; a line may end with CR LF; '#' begins a comment up to the end of the
 * line, and lines with nothing else are skipped. What follows "end" must be such lines.
 *
 * What is written is read back as the same plan, bit for bit. Files of a later version are refused.
 */
#ifndef LINA_COLLECTIVES_PLAN_IO_H
#define LINA_COLLECTIVES_PLAN_IO_H

#include <stddef.h>

#include "collectives/plan.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { LINA_PLAN_FILE_VERSION = 1 };

/* Where a text is wrong, and what was expected there. */
struct lina_plan_text_fault {
	int line, column; /* from 1; a tab is one column. line 0: of no line, as in a file that
			   * cannot be read */
	char text[160];   /* "expected an expert from 0 to 63 or '-', not 'x'" */
};

/* The plan of a text of bytes characters; it need not end with a zero. -EINVAL: *fault_p says why
 * and *plan_p is as before; -ENOMEM. Takes memory in proportion to the text, whatever it says. */
int lina_plan_decode(const char *text, size_t bytes, struct lina_plan **plan_p,
	struct lina_plan_text_fault *fault_p);

/* The text of a plan that lina_plan_check accepts, ended with a zero that *bytes_p does not count;
 * the caller frees it. -ENOMEM. */
int lina_plan_encode(const struct lina_plan *plan, char **text_p, size_t *bytes_p);

/* Reads a file. Other than lina_plan_decode: -errno of open and read, -EFBIG for one above 1 GiB.
 * In each case *fault_p says what is wrong. */
int lina_plan_read(
	const char *path, struct lina_plan **plan_p, struct lina_plan_text_fault *fault_p);

/* Replaces a file in one step (lina_file_replace of whole_file.h). -errno of what failed. */
int lina_plan_write(const struct lina_plan *plan, const char *path);

#ifdef __cplusplus
}
#endif
#endif
