/*
 * What lina-check found out: a list of findings, as text or JSON. Pure but for the stream it is
 * printed to.
 */
#ifndef LINA_PLUGIN_CHECK_REPORT_H
#define LINA_PLUGIN_CHECK_REPORT_H

#include <stdbool.h>
#include <stdio.h>

enum { CHECK_FINDINGS_MAX = 128, CHECK_TEXT_BYTES = 320 };

enum check_level {
	CHECK_OK,   /* as it should be */
	CHECK_NOTE, /* to know */
	CHECK_WARN, /* a job runs, but not as well as it could */
	CHECK_FAIL, /* a job would not run on the plugin */
	CHECK_NLEVELS
};

struct check_finding {
	enum check_level level;
	const char *area; /* a literal: "nccl", "plugin", ... */
	char text[CHECK_TEXT_BYTES];
	char remedy[CHECK_TEXT_BYTES]; /* what to do, "": nothing */
};

/* All zero at first. */
struct check_report {
	struct check_finding findings[CHECK_FINDINGS_MAX];
	int n;
	int nlost; /* that found no room */
};

/* Adds a finding; remedy may be NULL. */
void check_say(struct check_report *report, enum check_level level, const char *area,
	const char *remedy, const char *fmt, ...) __attribute__((format(printf, 5, 6)));

/* The worst level among the findings; CHECK_OK of none. */
enum check_level check_worst(const struct check_report *report);

/* One line a finding and one more where there is something to do. */
void check_print(FILE *out, const struct check_report *report);

/* One object: worst, and the findings in their order. */
void check_print_json(FILE *out, const struct check_report *report);

#endif
