#include "plan/traces.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NEXPERTS_MAX = 64, PATH_BYTES = 256 };

static const struct {
	const char *model, *domain;
	int nlayers, nexperts;
} sources[] = {
	{ "dsv2lite", "intent", 26, 64 },
	{ "dsv2lite", "law", 26, 64 },
	{ "dsv2lite", "summary", 26, 64 },
	{ "dsv2lite", "translation", 26, 64 },
	{ "olmoe", "arxiv", 3, 64 },
	{ "olmoe", "book", 3, 64 },
	{ "olmoe", "c4", 3, 64 },
	{ "olmoe", "github", 3, 64 },
	{ "olmoe", "tulu", 3, 64 },
	{ "olmoe", "wikipedia", 3, 64 },
	{ "olmoe-sft", "tulu", 3, 64 },
	{ "olmoe-dpo", "tulu", 3, 64 },
	{ "mistral", "arxiv", 3, 8 },
	{ "mistral", "book", 3, 8 },
	{ "mistral", "c4", 3, 8 },
	{ "mistral", "github", 3, 8 },
	{ "mistral", "wikipedia", 3, 8 },
};

enum { NSOURCES = sizeof(sources) / sizeof(*sources) };

static _Noreturn void fail(const char *path, const char *what)
{
	(void)fprintf(stderr, "%s: %s\n", path, what);
	exit(EXIT_FAILURE);
}

static bool is_shares(int i)
{
	return strcmp(sources[i].model, "dsv2lite") == 0;
}

/* "layer_slot,expert,count" or, with other tasks in between, "task,layer,expert,tokens,gate" with
 * layers from 1. */
static bool parse_line(int i, const char *line, int *layer, int *expert, double *tokens)
{
	const char *comma = strchr(line, ',');

	if (!is_shares(i))
		return sscanf(line, "%d,%d,%lf", layer, expert, tokens) == 3;
	if (!comma || strlen(sources[i].domain) != (size_t)(comma - line) ||
		strncmp(line, sources[i].domain, (size_t)(comma - line)) != 0 ||
		sscanf(comma, ",%d,%d,%lf", layer, expert, tokens) != 3)
		return false;
	--*layer;
	return true;
}

static void read_counts(int i, FILE *file, const char *path, struct lina_counts *counts)
{
	char line[128];
	int layer, expert, n = 0;
	double tokens;

	while (fgets(line, sizeof(line), file)) {
		if (!parse_line(i, line, &layer, &expert, &tokens))
			continue;
		if (layer < 0 || layer >= counts->nlayers || expert < 0 ||
			expert >= counts->nexperts)
			fail(path, "a layer or an expert that nobody expects");
		lina_counts_layer(counts, layer)[expert] = tokens;
		n++;
	}
	if (n == 0)
		fail(path, "no counts");
}

static void path_of(int i, char *path)
{
	if (is_shares(i))
		(void)snprintf(
			path, PATH_BYTES, LINA_TRACES "/esft/deepseek-v2-lite.expert_scores.csv");
	else
		(void)snprintf(path, PATH_BYTES, LINA_TRACES "/olmoe/%s.expert_counts.%s.csv",
			sources[i].model, sources[i].domain);
}

int traces_open(struct trace **traces_p)
{
	struct trace *traces = calloc(NSOURCES, sizeof(*traces));
	char path[PATH_BYTES];

	for (int i = 0; traces && i < NSOURCES; i++) {
		path_of(i, path);
		FILE *file = fopen(path, "r");
		if (!file) {
			(void)printf("the traces are not here (%s)\n", path);
			traces_close(traces, i);
			return 0;
		}
		if (lina_counts_create(sources[i].nlayers, sources[i].nexperts, &traces[i].counts))
			fail(path, "no memory");
		read_counts(i, file, path, traces[i].counts);
		(void)fclose(file);
		(void)snprintf(traces[i].name, sizeof(traces[i].name), "%s %s", sources[i].model,
			sources[i].domain);
	}
	if (!traces)
		fail("traces", "no memory");
	*traces_p = traces;
	return NSOURCES;
}

void traces_close(struct trace *traces, int n)
{
	for (int i = 0; i < n; i++)
		lina_counts_destroy(traces[i].counts);
	free(traces);
}

struct lina_transitions *trace_transitions(const char *model, const char *domain, int nexperts)
{
	struct lina_transitions *transitions;
	char path[PATH_BYTES], line[128];
	int pair, next, from, to;
	double tokens;
	FILE *file;

	(void)snprintf(path, sizeof(path),
		LINA_TRACES "/olmoe/%s.expert_counts_crosslayer_top1.%s.csv", model, domain);
	file = fopen(path, "r");
	if (!file)
		return NULL;
	if (lina_transitions_create(2, nexperts, &transitions))
		fail(path, "no memory");
	while (fgets(line, sizeof(line), file))
		if (sscanf(line, "%d,%d,%d,%d,%lf", &pair, &next, &from, &to, &tokens) == 5)
			lina_transitions_pair(transitions, pair)[from * nexperts + to] = tokens;
	(void)fclose(file);
	return transitions;
}
