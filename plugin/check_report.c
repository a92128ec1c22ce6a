#include "plugin/check_report.h"

#include <stdarg.h>

#include "plugin/trace.h"

static const char *const level_names[CHECK_NLEVELS] = { "ok", "note", "warn", "FAIL" };

void check_say(struct check_report *report, enum check_level level, const char *area,
	const char *remedy, const char *fmt, ...)
{
	va_list args;

	if (report->n == CHECK_FINDINGS_MAX) {
		report->nlost++;
		return;
	}
	struct check_finding *f = &report->findings[report->n++];
	*f = (struct check_finding){ .level = level, .area = area };
	va_start(args, fmt);
	(void)vsnprintf(f->text, sizeof(f->text), fmt, args);
	va_end(args);
	if (remedy)
		(void)snprintf(f->remedy, sizeof(f->remedy), "%s", remedy);
}

enum check_level check_worst(const struct check_report *report)
{
	enum check_level worst = CHECK_OK;

	for (int i = 0; i < report->n; i++)
		if (report->findings[i].level > worst)
			worst = report->findings[i].level;
	return worst;
}

void check_print(FILE *out, const struct check_report *report)
{
	for (int i = 0; i < report->n; i++) {
		const struct check_finding *f = &report->findings[i];

		(void)fprintf(out, "%-4s  %-10s  %s\n", level_names[f->level], f->area, f->text);
		if (f->remedy[0])
			(void)fprintf(out, "%18s-> %s\n", "", f->remedy);
	}
	if (report->nlost)
		(void)fprintf(
			out, "and %d findings more, for which there was no room\n", report->nlost);
}

void check_print_json(FILE *out, const struct check_report *report)
{
	char text[CHECK_TEXT_BYTES * 6], remedy[CHECK_TEXT_BYTES * 6];

	(void)fprintf(out, "{\"worst\":\"%s\",\"lost\":%d,\"findings\":[",
		level_names[check_worst(report)], report->nlost);
	for (int i = 0; i < report->n; i++) {
		const struct check_finding *f = &report->findings[i];

		(void)fprintf(out,
			"%s{\"level\":\"%s\",\"area\":\"%s\",\"text\":\"%s\",\"remedy\":\"%s\"}",
			i ? "," : "", level_names[f->level], f->area,
			lina_trace_escape(f->text, text, sizeof(text)),
			lina_trace_escape(f->remedy, remedy, sizeof(remedy)));
	}
	(void)fprintf(out, "]}\n");
}
