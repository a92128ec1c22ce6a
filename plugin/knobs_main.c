/* lina-knobs: prints the plugin's environment variables as a table in Markdown. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plugin/config.h"

static void print_int(const struct lina_knob *knob)
{
	(void)printf("| `%s` | %d | %d to %d %s | %s |\n", knob->name, knob->initial, knob->lowest,
		knob->highest, knob->unit, knob->help);
}

static void print_text(const struct lina_knob *knob)
{
	const char *tick = knob->stand_in[0] != '\0' ? "`" : "";

	(void)printf("| `%s` | %s%s%s | ", knob->name, tick, knob->stand_in, tick);
	if (knob->choices[0] == '\0')
		(void)printf("text");
	for (const char *at = knob->choices; *at != '\0';) {
		size_t len = strcspn(at, " ");

		(void)printf("%s`%.*s`", at == knob->choices ? "" : ", ", (int)len, at);
		at += len + (at[len] == ' ');
	}
	(void)printf(" | %s |\n", knob->help);
}

int main(void)
{
	size_t nknobs;
	const struct lina_knob *knobs = lina_config_knobs(&nknobs);

	(void)printf("| variable | default | values | meaning |\n|---|---|---|---|\n");
	for (size_t i = 0; i < nknobs; i++) {
		if (knobs[i].kind == LINA_KNOB_INT)
			print_int(&knobs[i]);
		else
			print_text(&knobs[i]);
	}
	return ferror(stdout) != 0 || fflush(stdout) != 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
