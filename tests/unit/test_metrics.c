/* The counters as Prometheus reads them: every line is as its text format (0.0.4) has it, by a
 * parser that lets nothing else pass, and says what was counted. */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "plugin/metrics.h"

enum { SAMPLES_MAX = 512, TEXT_BYTES = 160 };

struct sample {
	char family[TEXT_BYTES], name[TEXT_BYTES], labels[TEXT_BYTES];
	double value;
};

struct parse {
	const char *at;
	char family[TEXT_BYTES], type[TEXT_BYTES];
	char families[64][TEXT_BYTES];
	int nfamilies, nsamples;
	struct sample sample[SAMPLES_MAX];
};

/* --- the parser --- */

static void expect(struct parse *p, const char *text)
{
	size_t n = strlen(text);

	if (strncmp(p->at, text, n) != 0)
		fail_msg("'%s' expected at: %.60s", text, p->at);
	p->at += n;
}

/* [a-zA-Z_:][a-zA-Z0-9_:]* */
static void parse_name(struct parse *p, char to[TEXT_BYTES])
{
	size_t n = 0;

	while (isalnum((unsigned char)p->at[n]) || p->at[n] == '_' || p->at[n] == ':')
		n++;
	assert_true(n > 0 && n < TEXT_BYTES && !isdigit((unsigned char)p->at[0]));
	memcpy(to, p->at, n);
	to[n] = '\0';
	p->at += n;
}

/* "..." in which \, " and newline are escaped. */
static void parse_value(struct parse *p)
{
	expect(p, "\"");
	while (*p->at != '"') {
		assert_true(*p->at != '\n' && *p->at != '\0');
		if (*p->at == '\\') {
			p->at++;
			assert_true(*p->at == '\\' || *p->at == '"' || *p->at == 'n');
		}
		p->at++;
	}
	p->at++;
}

static void parse_labels(struct parse *p, char to[TEXT_BYTES])
{
	const char *from = p->at;
	char name[TEXT_BYTES];

	if (*p->at == '{') {
		do {
			p->at++;
			parse_name(p, name);
			expect(p, "=");
			parse_value(p);
		} while (*p->at == ',');
		expect(p, "}");
	}
	assert_true(p->at - from < TEXT_BYTES);
	memcpy(to, from, (size_t)(p->at - from));
	to[p->at - from] = '\0';
}

/* A sample belongs to the family that was announced last; of a histogram with its suffixes. */
static void parse_sample(struct parse *p)
{
	struct sample *s = &p->sample[p->nsamples++];
	char *end;

	assert_true(p->nsamples < SAMPLES_MAX);
	parse_name(p, s->name);
	size_t n = strlen(p->family);
	assert_int_equal(strncmp(s->name, p->family, n), 0);
	const char *suffix = s->name + n;
	if (strcmp(p->type, "histogram") == 0)
		assert_true(strcmp(suffix, "_bucket") == 0 || strcmp(suffix, "_sum") == 0 ||
			    strcmp(suffix, "_count") == 0);
	else
		assert_string_equal(suffix, "");
	(void)snprintf(s->family, sizeof(s->family), "%s", p->family);
	parse_labels(p, s->labels);
	expect(p, " ");
	s->value = strtod(p->at, &end);
	assert_true(end > p->at && s->value >= 0);
	p->at = end;
	expect(p, "\n");
}

/* # HELP name text, # TYPE name type: once for each family, before its samples. */
static void parse_head(struct parse *p)
{
	char name[TEXT_BYTES];

	expect(p, "# HELP ");
	parse_name(p, p->family);
	for (int i = 0; i < p->nfamilies; i++)
		assert_string_not_equal(p->families[i], p->family);
	(void)snprintf(p->families[p->nfamilies++], TEXT_BYTES, "%s", p->family);
	expect(p, " ");
	p->at += strcspn(p->at, "\n");
	expect(p, "\n# TYPE ");
	parse_name(p, name);
	assert_string_equal(name, p->family);
	expect(p, " ");
	parse_name(p, p->type);
	assert_true(strcmp(p->type, "counter") == 0 || strcmp(p->type, "gauge") == 0 ||
		    strcmp(p->type, "histogram") == 0);
	bool total = strlen(name) > 6 && strcmp(name + strlen(name) - 6, "_total") == 0;
	assert_true(total == (strcmp(p->type, "counter") == 0));
	expect(p, "\n");
}

static void same_twice_refused(const struct parse *p)
{
	for (int i = 0; i < p->nsamples; i++)
		for (int j = 0; j < i; j++)
			if (strcmp(p->sample[i].name, p->sample[j].name) == 0)
				assert_string_not_equal(p->sample[i].labels, p->sample[j].labels);
}

static void parse(struct parse *p, const char *text)
{
	memset(p, 0, sizeof(*p));
	p->at = text;
	while (*p->at) {
		if (*p->at == '#')
			parse_head(p);
		else
			parse_sample(p);
	}
	same_twice_refused(p);
}

static double value_of(const struct parse *p, const char *name, const char *labels)
{
	for (int i = 0; i < p->nsamples; i++)
		if (strcmp(p->sample[i].name, name) == 0 &&
			strcmp(p->sample[i].labels, labels) == 0)
			return p->sample[i].value;
	fail_msg("no %s%s", name, labels);
	return 0;
}

/* --- what is printed --- */

/* "eth0" both ways, with the peers a and b; sending bulk to each. */
static struct lina_stats *stats_of_two_peers(void)
{
	struct lina_stats *s;

	assert_int_equal(lina_stats_open(NULL, &s), 0);
	struct lina_stats_link *link = lina_stats_link(s, "eth0", LINA_DIR_SEND);
	(void)lina_stats_link(s, "eth0", LINA_DIR_RECV);
	for (int i = 0; i < 2; i++) {
		struct lina_stats_row *row =
			lina_stats_row(s, link, LINA_CLASS_BULK, i ? "b" : "a");
		lina_stats_add(&row->bytes, 1000u + (unsigned)i);
		lina_stats_add(&row->messages, 9);
		lina_stats_add(&row->queued_bytes, 5);
		lina_stats_add(&row->wait[9], 1);  /* up to 1024 ns */
		lina_stats_add(&row->wait[10], 2); /* up to 2048 ns */
		lina_stats_add(&row->wait[39], 4); /* beyond every bound */
		lina_stats_add(&row->wait_ns, 1500000000);
	}
	lina_stats_add(&link->held_ns, 250000000);
	lina_stats_add(&link->share_fired, 6);
	lina_stats_set(&link->window_bytes, 65536);
	lina_stats_set(&link->byte_ps, 8000);
	return s;
}

static void print(struct lina_stats *stats, struct parse *p)
{
	struct lina_stats_view view;
	size_t bytes, text_bytes;
	char *text;

	void *copy = lina_stats_copy(stats, &bytes);
	assert_int_equal(lina_stats_check(copy, bytes, &view), 0);
	FILE *out = open_memstream(&text, &text_bytes);
	assert_non_null(out);
	lina_metrics_print(out, &view);
	assert_int_equal(fclose(out), 0);
	parse(p, text);
	free(text);
	free(copy);
}

static void counts_are_there(void **state)
{
	static struct parse p;
	struct lina_stats *s = stats_of_two_peers();

	(void)state;
	print(s, &p);
#define OF_BULK "link=\"eth0\",direction=\"send\",class=\"bulk\""
#define OF_LINK "link=\"eth0\",direction=\"send\""
	assert_true(value_of(&p, "lina_bytes_total", "{" OF_BULK ",peer=\"a\"}") == 1000);
	assert_true(value_of(&p, "lina_bytes_total", "{" OF_BULK ",peer=\"b\"}") == 1001);
	assert_true(value_of(&p, "lina_messages_total", "{" OF_BULK ",peer=\"a\"}") == 9);
	assert_true(value_of(&p, "lina_queued_bytes", "{" OF_BULK ",peer=\"a\"}") == 5);
	assert_true(value_of(&p, "lina_held_seconds_total", "{" OF_LINK "}") == 0.25);
	assert_true(value_of(&p, "lina_bounds_fired_total", "{" OF_LINK ",bound=\"share\"}") == 6);
	assert_true(value_of(&p, "lina_window_bytes", "{" OF_LINK "}") == 65536);
	double byte_s = value_of(&p, "lina_byte_seconds", "{" OF_LINK "}");
	assert_true(byte_s > 7.999e-9 && byte_s < 8.001e-9);
	assert_true(value_of(&p, "lina_window_bytes", "{link=\"eth0\",direction=\"recv\"}") == 0);
	lina_stats_close(s);
}

static void waits_are_a_histogram_of_all_peers(void **state)
{
	static struct parse p;
	struct lina_stats *s = stats_of_two_peers();
	double before = 0;
	int n = 0;

	(void)state;
	print(s, &p);
	assert_true(
		value_of(&p, "lina_wait_seconds_bucket", "{" OF_BULK ",le=\"1.024e-06\"}") == 2);
	assert_true(
		value_of(&p, "lina_wait_seconds_bucket", "{" OF_BULK ",le=\"4.096e-06\"}") == 6);
	assert_true(value_of(&p, "lina_wait_seconds_bucket", "{" OF_BULK ",le=\"+Inf\"}") == 14);
	assert_true(value_of(&p, "lina_wait_seconds_count", "{" OF_BULK "}") == 14);
	assert_true(value_of(&p, "lina_wait_seconds_sum", "{" OF_BULK "}") == 3);
	for (int i = 0; i < p.nsamples; i++) {
		if (!strstr(p.sample[i].labels, OF_BULK ",le="))
			continue;
		assert_true(p.sample[i].value >= before);
		before = p.sample[i].value;
		n++;
	}
	assert_int_equal(n, 13);
	lina_stats_close(s);
}

static void odd_names_are_escaped(void **state)
{
	static struct parse p;
	struct lina_stats *s;

	(void)state;
	assert_int_equal(lina_stats_open(NULL, &s), 0);
	struct lina_stats_link *link = lina_stats_link(s, "a\"b\\c\nd", LINA_DIR_SEND);
	struct lina_stats_row *row = lina_stats_row(s, link, LINA_CLASS_BULK,
		"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"");
	lina_stats_add(&row->bytes, 1);
	print(s, &p);
	assert_true(value_of(&p, "lina_holds_total",
			    "{link=\"a\\\"b\\\\c?d\",direction=\"send\"}") == 0);
	lina_stats_close(s);
}

static void nothing_counted_is_well_formed_too(void **state)
{
	static struct parse p;
	struct lina_stats *s;

	(void)state;
	assert_int_equal(lina_stats_open(NULL, &s), 0);
	print(s, &p);
	assert_true(value_of(&p, "lina_rows_lost_total", "") == 0);
	lina_stats_close(s);
}

/* --- the file --- */

struct metrics_file {
	struct lina_stats *stats;
	void *copy;
	struct lina_stats_view view;
	char directory[32], path[64]; /* nothing is in the directory yet */
};

static void file_open(struct metrics_file *f)
{
	size_t bytes;

	f->stats = stats_of_two_peers();
	f->copy = lina_stats_copy(f->stats, &bytes);
	assert_int_equal(lina_stats_check(f->copy, bytes, &f->view), 0);
	(void)snprintf(f->directory, sizeof(f->directory), "/tmp/lina-metrics-XXXXXX");
	assert_non_null(mkdtemp(f->directory));
	(void)snprintf(f->path, sizeof(f->path), "%s/lina.prom", f->directory);
}

/* No draft is left. */
static void file_close(struct metrics_file *f)
{
	assert_int_equal(unlink(f->path), 0);
	assert_int_equal(rmdir(f->directory), 0);
	free(f->copy);
	lina_stats_close(f->stats);
}

static void file_is_replaced_as_a_whole(void **state)
{
	char text[1 << 16];
	static struct parse p;
	struct metrics_file f;

	(void)state;
	file_open(&f);
	FILE *old = fopen(f.path, "w");
	assert_non_null(old);
	(void)fputs("old\n", old);
	(void)fflush(old);
	assert_int_equal(lina_metrics_save(f.path, &f.view), 0);
	/* Whoever has the old one open still reads the old one. */
	assert_int_equal(ftell(old), 4);
	(void)fclose(old);
	FILE *new = fopen(f.path, "r");
	assert_non_null(new);
	size_t n = fread(text, 1, sizeof(text) - 1, new);
	(void)fclose(new);
	text[n] = '\0';
	parse(&p, text);
	assert_true(p.nsamples > 10);
	assert_int_equal(lina_metrics_save("/tmp/lina-metrics-nowhere/x", &f.view), -ENOENT);
	file_close(&f);
}

static void link_in_the_way_is_not_followed(void **state)
{
	char draft[96], other[64], text[8] = "";
	struct metrics_file f;

	(void)state;
	file_open(&f);
	(void)snprintf(draft, sizeof(draft), "%s.%d.tmp", f.path, (int)getpid());
	(void)snprintf(other, sizeof(other), "%s/precious", f.directory);
	FILE *precious = fopen(other, "w+");
	assert_non_null(precious);
	(void)fputs("kept", precious);
	(void)fflush(precious);
	assert_int_equal(symlink(other, draft), 0);
	assert_int_equal(lina_metrics_save(f.path, &f.view), 0);
	rewind(precious);
	assert_int_equal(fread(text, 1, sizeof(text) - 1, precious), 4);
	assert_string_equal(text, "kept");
	(void)fclose(precious);
	assert_int_equal(unlink(other), 0);
	file_close(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(counts_are_there),
		cmocka_unit_test(waits_are_a_histogram_of_all_peers),
		cmocka_unit_test(odd_names_are_escaped),
		cmocka_unit_test(nothing_counted_is_well_formed_too),
		cmocka_unit_test(file_is_replaced_as_a_whole),
		cmocka_unit_test(link_in_the_way_is_not_followed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
