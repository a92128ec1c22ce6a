/* Placement tables as files. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collectives/plan_io.h"
#include "collectives/whole_file.h"

int lina_plan_read(
	const char *path, struct lina_plan **plan_p, struct lina_plan_text_fault *fault_p)
{
	struct lina_plan_text_fault fault = { 0 };
	size_t bytes;
	char *text;
	int err = lina_file_load(path, &text, &bytes);

	if (!err) {
		err = lina_plan_decode(text, bytes, plan_p, &fault);
		free(text);
	}
	if (err && !fault.line)
		(void)snprintf(fault.text, sizeof(fault.text), "%s", strerror(-err));
	if (err)
		*fault_p = fault;
	return err;
}

int lina_plan_write(const struct lina_plan *plan, const char *path)
{
	size_t bytes;
	char *text;
	int err = lina_plan_encode(plan, &text, &bytes);

	if (err)
		return err;
	err = lina_file_replace(path, text, bytes);
	free(text);
	return err;
}
