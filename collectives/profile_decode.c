/* The model file in. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collectives/plan_words.h"
#include "collectives/profile.h"

/* What has been read so far. */
struct reading {
	struct lina_words words;
	struct lina_profile *profile;
	int nexperts, nlayers, room; /* room: layers that counts and layers have */
};

static int word_int(
	struct lina_words *w, const char *what, uint64_t least, uint64_t most, uint64_t *number_p)
{
	struct lina_word word;

	(void)lina_words_next(w, &word);
	if (!lina_word_number(word, most, number_p) || *number_p < least)
		return lina_words_expected(w, word, "%s from %llu to %llu", what,
			(unsigned long long)least, (unsigned long long)most);
	return 0;
}

static int word_int32(struct lina_words *w, const char *what, int least, int most, int *number_p)
{
	uint64_t number = 0;
	int err = word_int(w, what, (uint64_t)least, (uint64_t)most, &number);

	*number_p = (int)number;
	return err;
}

static int word_load(struct lina_words *w, double *load_p)
{
	struct lina_word word;
	char copy[40], *end;

	(void)lina_words_next(w, &word);
	if (word.bytes && word.bytes < sizeof(copy)) {
		memcpy(copy, word.at, word.bytes);
		copy[word.bytes] = '\0';
		*load_p = strtod(copy, &end);
		if (!*end && strspn(copy, "0123456789+-.eE") == word.bytes && *load_p >= 0 &&
			*load_p <= LINA_TOKENS_MAX)
			return 0;
	}
	return lina_words_expected(w, word, "a load from 0 to %.0f", LINA_TOKENS_MAX);
}

static int word_fixed(struct lina_words *w, const char *text)
{
	struct lina_word word;

	if (!lina_words_next(w, &word) || !lina_word_is(word, text))
		return lina_words_expected(w, word, "'%s'", text);
	return 0;
}

static int line_end(struct lina_words *w)
{
	struct lina_word word;

	if (lina_words_next(w, &word))
		return lina_words_expected(w, word, "the end of the line");
	return 0;
}

static int line_begin(struct lina_words *w, const char *text)
{
	(void)lina_words_next_line(w);
	return word_fixed(w, text);
}

static int line_int(struct lina_words *w, const char *name, int least, int most, int *number_p)
{
	int err = line_begin(w, name);

	if (!err)
		err = word_int32(w, "a number", least, most, number_p);
	return err ? err : line_end(w);
}

/* --- header --- */

static int method_read(struct reading *r)
{
	struct lina_word word;
	char name[16] = "";
	int err = line_begin(&r->words, "method");

	if (err)
		return err;
	(void)lina_words_next(&r->words, &word);
	if (word.bytes < sizeof(name))
		memcpy(name, word.at, word.bytes);
	if (lina_profile_method_parse(name, &r->profile->method))
		return lina_words_expected(&r->words, word, "mean, window, decay or paths");
	return line_end(&r->words);
}

static int header_read(struct reading *r)
{
	struct lina_paths_settings settings = lina_paths_settings_default();
	int version, err = line_int(&r->words, "lina-profile", LINA_PROFILE_VERSION,
			     LINA_PROFILE_VERSION, &version);

	if (!err)
		err = method_read(r);
	if (!err)
		err = line_int(&r->words, "experts", 1, LINA_EXPERTS_MAX, &r->nexperts);
	if (err || r->profile->method != LINA_PROFILE_PATHS)
		return err;
	err = line_int(&r->words, "length", 1, LINA_PATH_MAX, &settings.length);
	if (!err)
		err = line_int(&r->words, "kept", 1, LINA_PATHS_KEPT_MAX, &settings.kept);
	settings.paths_max = UINT32_MAX;
	return err ? err : lina_paths_create(&settings, &r->profile->paths);
}

/* --- lines --- */

/* Room for one more layer. */
static int layer_reserve(struct reading *r)
{
	struct lina_counts *counts = r->profile->counts, *larger;
	int room = 2 * r->room > 0 ? 2 * r->room : 4, err;
	int *layers;

	if (r->nlayers < r->room)
		return 0;
	room = room < LINA_LAYERS_MAX ? room : LINA_LAYERS_MAX;
	layers = realloc(r->profile->layers, (size_t)room * sizeof(*layers));
	if (!layers)
		return -ENOMEM;
	r->profile->layers = layers;
	err = lina_counts_create(room, r->nexperts, &larger);
	if (err)
		return err;
	if (counts)
		memcpy(larger->tokens, counts->tokens,
			(size_t)r->nlayers * (size_t)r->nexperts * sizeof(double));
	lina_counts_destroy(counts);
	r->profile->counts = larger;
	r->room = room;
	return 0;
}

static int loads_read(struct reading *r)
{
	int least = r->nlayers ? r->profile->layers[r->nlayers - 1] + 1 : 0, layer;
	int err = word_int32(&r->words, "a layer", least, LINA_LAYERS_MAX - 1, &layer);

	/* A load takes two characters at least. */
	if (!err && r->words.end - r->words.at < 2 * (ptrdiff_t)r->nexperts)
		return lina_words_expected(
			&r->words, (struct lina_word){ r->words.at, 0 }, "%d loads", r->nexperts);
	if (!err)
		err = layer_reserve(r);
	for (int e = 0; e < r->nexperts && !err; e++) {
		double *load = &lina_counts_layer(r->profile->counts, r->nlayers)[e];

		err = word_load(&r->words, load);
		if (!err && r->profile->paths && *load > 0)
			err = lina_paths_put_load(r->profile->paths, layer, e, *load);
	}
	if (err)
		return err;
	r->profile->layers[r->nlayers++] = layer;
	return line_end(&r->words);
}

/* The experts of a path up to the word "next". */
static int after_read(struct lina_words *w, int nexperts, struct lina_path *path)
{
	struct lina_word word;

	for (path->length = 0; lina_words_next(w, &word) && !lina_word_is(word, "next");
		path->length++) {
		uint64_t expert;

		if (path->length == LINA_PATH_MAX)
			return lina_words_expected(w, word, "'next'");
		if (!lina_word_number(word, (uint64_t)nexperts - 1, &expert))
			return lina_words_expected(
				w, word, "an expert from 0 to %d or 'next'", nexperts - 1);
		path->experts[path->length] = (int)expert;
	}
	return word.bytes ? 0 : lina_words_expected(w, word, "'next'");
}

static int next_read(struct lina_words *w, int nexperts, struct lina_path *path)
{
	struct lina_word word;

	for (path->nnext = 0; lina_words_next(w, &word); path->nnext++) {
		uint64_t expert, count = 0;
		int err;

		if (path->nnext == LINA_PATHS_KEPT_MAX)
			return lina_words_expected(w, word, "the end of the line");
		if (!lina_word_number(word, (uint64_t)nexperts - 1, &expert))
			return lina_words_expected(w, word, "an expert from 0 to %d", nexperts - 1);
		err = word_int(w, "a count", 1, UINT32_MAX, &count);
		if (err)
			return err;
		path->next[path->nnext] = (int)expert;
		path->count[path->nnext] = (uint32_t)count;
	}
	return 0;
}

static int path_read(struct reading *r)
{
	struct lina_words *w = &r->words;
	struct lina_word line = { w->line_begins, 4 };
	struct lina_path path = { 0 };
	int err = word_int32(w, "a layer", 0, LINA_LAYERS_MAX - 1, &path.layer);

	if (!err)
		err = word_fixed(w, "total");
	if (!err)
		err = word_int(w, "a number", 0, UINT64_MAX, &path.total);
	if (!err)
		err = word_fixed(w, "after");
	if (!err)
		err = after_read(w, r->nexperts, &path);
	if (!err)
		err = next_read(w, r->nexperts, &path);
	if (err)
		return err;
	err = lina_paths_put(r->profile->paths, &path);
	if (err == -EINVAL)
		return lina_words_expected(w, line, "a path no longer than the header says");
	if (err == -EEXIST)
		return lina_words_expected(w, line, "no path a second time");
	return err;
}

static int lines_read(struct reading *r)
{
	for (;;) {
		struct lina_word word;
		int err;

		(void)lina_words_next_line(&r->words);
		(void)lina_words_next(&r->words, &word);
		if (lina_word_is(word, "end") && r->nlayers)
			return line_end(&r->words);
		if (lina_word_is(word, "loads"))
			err = loads_read(r);
		else if (r->profile->paths && lina_word_is(word, "path"))
			err = path_read(r);
		else
			return lina_words_expected(&r->words, word, "'loads LAYER LOAD...'%s%s",
				r->profile->paths ? " or 'path ...'" : "",
				r->nlayers ? " or 'end'" : "");
		if (err)
			return err;
	}
}

int lina_profile_decode(const char *text, size_t bytes, struct lina_profile **profile_p,
	struct lina_plan_text_fault *fault_p)
{
	struct lina_plan_text_fault fault = { 0 };
	struct reading r = { .words = lina_words_of(text, bytes, &fault) };
	int err = 0;

	r.profile = calloc(1, sizeof(*r.profile));
	if (!r.profile)
		return -ENOMEM;
	err = header_read(&r);
	if (!err)
		err = lines_read(&r);
	if (!err && lina_words_next_line(&r.words)) {
		struct lina_word word;

		(void)lina_words_next(&r.words, &word);
		err = lina_words_expected(&r.words, word, "nothing after 'end'");
	}
	if (err) {
		lina_profile_destroy(r.profile);
		*fault_p = fault;
		return err;
	}
	r.profile->counts->nlayers = r.nlayers;
	*profile_p = r.profile;
	return 0;
}
