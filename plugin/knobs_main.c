/* lina-knobs: prints the plugin's environment variables as a table in Markdown, with --man for
 * lina(7). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plugin/config.h"

static void print_int(const struct lina_knob *knob)
{
	(void)printf("| `%s` | ", knob->name);
	if (knob->stand_in[0] != '\0')
		(void)printf("`%s`, ", knob->stand_in);
	(void)printf("%d | %d to %d %s | %s |\n", knob->initial, knob->lowest, knob->highest,
		knob->unit, knob->help);
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

static void print_markdown(const struct lina_knob *knobs, size_t nknobs)
{
	(void)printf("| variable | default | values | meaning |\n|---|---|---|---|\n");
	for (size_t i = 0; i < nknobs; i++) {
		if (knobs[i].kind == LINA_KNOB_INT)
			print_int(&knobs[i]);
		else
			print_text(&knobs[i]);
	}
}

/* A line of mdoc: no quoting as in Markdown, and no control line by accident. */
static void print_man_text(const char *text)
{
	(void)printf("%s", text[0] == '.' || text[0] == '\'' ? "\\&" : "");
	for (; *text; text++) {
		if (*text == '\\')
			(void)printf("\\e");
		else if (*text != '`')
			(void)putchar(*text);
	}
	(void)puts(".");
}

static void print_man_values(const struct lina_knob *knob)
{
	if (knob->kind == LINA_KNOB_INT) {
		(void)printf("From %d to %d %s; default %d.\n", knob->lowest, knob->highest,
			knob->unit, knob->initial);
		return;
	}
	if (knob->choices[0] != '\0')
		(void)printf("One of: %s.\n", knob->choices);
	if (knob->stand_in[0] != '\0')
		(void)printf("Where it is not set,\n.Ev %s\nholds.\n", knob->stand_in);
}

static void print_man(const struct lina_knob *knobs, size_t nknobs)
{
	for (size_t i = 0; i < nknobs; i++) {
		(void)printf(".It Ev %s\n", knobs[i].name);
		print_man_text(knobs[i].help);
		print_man_values(&knobs[i]);
	}
}

int main(int argc, char **argv)
{
	size_t nknobs;
	const struct lina_knob *knobs = lina_config_knobs(&nknobs);

	if (argc == 2 && strcmp(argv[1], "--man") == 0) {
		print_man(knobs, nknobs);
	} else if (argc == 1) {
		print_markdown(knobs, nknobs);
	} else {
		(void)fprintf(stderr, "usage: %s [--man]\n", argv[0]);
		return EXIT_FAILURE;
	}
	return ferror(stdout) != 0 || fflush(stdout) != 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
