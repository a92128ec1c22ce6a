/* The model file out; and what its two directions share. */
#include "collectives/profile.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const names[LINA_PROFILE_NMETHODS] = { "mean", "window", "decay", "paths" };

const char *lina_profile_method_name(enum lina_profile_method method)
{
	return (unsigned)method < LINA_PROFILE_NMETHODS ? names[method] : NULL;
}

int lina_profile_method_parse(const char *name, enum lina_profile_method *method_p)
{
	for (int i = 0; i < LINA_PROFILE_NMETHODS; i++)
		if (strcmp(name, names[i]) == 0) {
			*method_p = (enum lina_profile_method)i;
			return 0;
		}
	return -EINVAL;
}

void lina_profile_destroy(struct lina_profile *profile)
{
	if (!profile)
		return;
	free(profile->layers);
	lina_counts_destroy(profile->counts);
	lina_paths_destroy(profile->paths);
	free(profile);
}

static void put_loads(FILE *out, const struct lina_profile *profile)
{
	const struct lina_counts *counts = profile->counts;

	for (int l = 0; l < counts->nlayers; l++) {
		(void)fprintf(out, "loads %d", profile->layers[l]);
		for (int e = 0; e < counts->nexperts; e++)
			(void)fprintf(out, " %.17g", lina_counts_layer(counts, l)[e]);
		(void)fputc('\n', out);
	}
}

static void put_paths(FILE *out, const struct lina_paths *paths)
{
	struct lina_path path;

	for (size_t i = 0; !lina_paths_get(paths, i, &path); i++) {
		(void)fprintf(out, "path %d total %llu after", path.layer,
			(unsigned long long)path.total);
		for (int k = 0; k < path.length; k++)
			(void)fprintf(out, " %d", path.experts[k]);
		(void)fputs(" next", out);
		for (int k = 0; k < path.nnext; k++)
			(void)fprintf(out, " %d %lu", path.next[k], (unsigned long)path.count[k]);
		(void)fputc('\n', out);
	}
}

int lina_profile_encode(const struct lina_profile *profile, char **text_p, size_t *bytes_p)
{
	char *text = NULL;
	size_t bytes = 0;
	FILE *out = open_memstream(&text, &bytes);
	bool failed;

	if (!out)
		return -ENOMEM;
	(void)fprintf(out, "lina-profile %d\nmethod %s\nexperts %d\n", LINA_PROFILE_VERSION,
		names[profile->method], profile->counts->nexperts);
	if (profile->paths) {
		struct lina_paths_settings s = lina_paths_settings_of(profile->paths);

		(void)fprintf(out, "length %d\nkept %d\n", s.length, s.kept);
	}
	put_loads(out, profile);
	if (profile->paths)
		put_paths(out, profile->paths);
	(void)fputs("end\n", out);
	failed = ferror(out);
	if (fclose(out) || failed) {
		free(text);
		return -ENOMEM;
	}
	*text_p = text;
	*bytes_p = bytes;
	return 0;
}
