/* Pictures of plans: gnuplot draws them, and they replace a file in one step like all others. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "collectives/plan_main.h"
#include "collectives/plan_report.h"

static void loads_put(
	FILE *out, const struct lina_plan *plan, const struct lina_counts *counts, int layer)
{
	const struct lina_plan_shape *shape = &plan->shape;
	double mean = lina_counts_sum(counts, layer) / shape->ndevices;

	for (int d = 0; d < shape->ndevices; d++) {
		double load = 0;

		for (int i = 0; i < shape->slots_per_device; i++) {
			int slot = d * shape->slots_per_device + i;
			int expert = lina_plan_experts(plan, layer)[slot];

			if (expert != LINA_SLOT_EMPTY)
				load += lina_counts_layer(counts, layer)[expert] *
					lina_plan_shares(plan, layer)[slot];
		}
		(void)fprintf(out, " %.6g", mean > 0 ? load / mean : 0);
	}
	(void)fputc('\n', out);
}

/* Of an image gnuplot wants two rows and two columns. */
static const char *style_of(const struct lina_plan_shape *shape)
{
	return shape->ndevices > 1 && shape->nlayers > 1
		       ? "with image"
		       : "using 1:2:(0.5):(0.5):3 with boxxyerror palette fillstyle solid";
}

static void script_put(
	FILE *out, const struct lina_plan *plan, const struct lina_counts *counts, bool png)
{
	(void)fprintf(out, "$load << END\n");
	for (int l = 0; l < plan->shape.nlayers; l++)
		loads_put(out, plan, counts, l);
	(void)fprintf(out,
		"END\n"
		"set terminal %s size 900,600\n"
		"set title 'Load of each device over the mean of its layer'\n"
		"set xlabel 'device'\nset ylabel 'layer'\nset cblabel 'load / mean'\n"
		"set xrange [-0.5:%d.5]\nset yrange [-0.5:%d.5]\nset cbrange [0:*]\n"
		"set palette defined (0 '#2166ac', 1 '#f7f7f7', 2 '#b2182b')\n"
		"plot $load matrix %s notitle\n",
		png ? "png" : "svg", plan->shape.ndevices - 1, plan->shape.nlayers - 1,
		style_of(&plan->shape));
}

/* Everything that gnuplot says to a script in a file that has no name any more. */
static int draw(FILE *script, char **picture_p, size_t *bytes_p)
{
	char command[64], piece[4096];
	FILE *in, *out;
	size_t n;

	(void)snprintf(command, sizeof(command), "gnuplot /dev/fd/%d", fileno(script));
	in = popen(command, "r"); /* NOLINT(cert-env33-c): a fixed command */
	if (!in)
		return -errno;
	out = open_memstream(picture_p, bytes_p);
	while (out && (n = fread(piece, 1, sizeof(piece), in)) > 0)
		(void)fwrite(piece, 1, n, out);
	if (pclose(in) != 0 || !out || fclose(out)) {
		if (out)
			free(*picture_p);
		return -ENOENT;
	}
	return 0;
}

int lina_plan_plot(const struct lina_plan *plan, const struct lina_counts *counts, const char *path)
{
	size_t length = strlen(path), bytes = 0;
	FILE *script = tmpfile();
	char *picture = NULL;
	int status;

	if (!script)
		return lina_plan_complain("%s: %s", path, strerror(errno));
	script_put(script, plan, counts, length > 4 && strcmp(path + length - 4, ".png") == 0);
	rewind(script);
	if (draw(script, &picture, &bytes)) {
		status = lina_plan_complain("%s: gnuplot cannot draw it; is it installed?", path);
	} else {
		status = lina_plan_save(path, picture, bytes);
		free(picture);
	}
	(void)fclose(script);
	return status;
}
