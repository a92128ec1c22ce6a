#include "plugin/config.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "plugin/log.h"

#define INT_ROW(field, var, first, low, high, of, text)        \
	{ .name = (var),                                       \
		.kind = LINA_KNOB_INT,                         \
		.offset = offsetof(struct lina_config, field), \
		.help = (text),                                \
		.initial = (first),                            \
		.lowest = (low),                               \
		.highest = (high),                             \
		.unit = (of),                                  \
		.stand_in = "" },
#define STAND_IN_ROW(field, var, nccl, first, low, high, of, text) \
	{ .name = (var),                                           \
		.kind = LINA_KNOB_INT,                             \
		.offset = offsetof(struct lina_config, field),     \
		.help = (text),                                    \
		.initial = (first),                                \
		.lowest = (low),                                   \
		.highest = (high),                                 \
		.unit = (of),                                      \
		.stand_in = (nccl) },
#define TEXT_ROW(field, var, nccl, list, text)                 \
	{ .name = (var),                                       \
		.kind = LINA_KNOB_TEXT,                        \
		.offset = offsetof(struct lina_config, field), \
		.help = (text),                                \
		.stand_in = (nccl),                            \
		.choices = (list) },

static const struct lina_knob knobs[] = { LINA_KNOBS_INT(INT_ROW) LINA_KNOBS_STAND_IN(STAND_IN_ROW)
		LINA_KNOBS_TEXT(TEXT_ROW) };
enum { NKNOBS = sizeof(knobs) / sizeof(knobs[0]) };

/* Variables of the programs around the plugin; it must not warn of them. */
static const char *const others[] = { "LINA_RANK", "LINA_NRANKS", "LINA_RENDEZVOUS", "LINA_HOST",
	"LINA_CACHE", "LINA_NCCL_SOURCE" };
enum { NOTHERS = sizeof(others) / sizeof(others[0]) };

const struct lina_knob *lina_config_knobs(size_t *nknobs_p)
{
	*nknobs_p = NKNOBS;
	return knobs;
}

/* --- the environment as a list --- */

static size_t name_len(const char *entry)
{
	return strcspn(entry, "=");
}

static bool is_named(const char *entry, const char *name)
{
	size_t len = name_len(entry);

	return len == strlen(name) && memcmp(entry, name, len) == 0;
}

/* NULL: not there, or no value. */
static const char *env_get(char *const *env, const char *name)
{
	for (; *env != NULL; env++) {
		const char *value = *env + name_len(*env);

		if (is_named(*env, name))
			return value[0] == '=' && value[1] != '\0' ? value + 1 : NULL;
	}
	return NULL;
}

/* --- one value --- */

static int parse_int(
	const struct lina_knob *knob, const char *name, const char *text, int base, int *field)
{
	char *end;

	errno = 0;
	long value = strtol(text, &end, base);
	if (errno != 0 || end == text || *end != '\0' || value < knob->lowest ||
		value > knob->highest) {
		lina_warn("%s=%s: must be a whole number from %d to %d (%s)", name, text,
			knob->lowest, knob->highest, knob->unit);
		return -EINVAL;
	}
	*field = (int)value;
	return 0;
}

static const char *stand_in_get(const struct lina_knob *knob, char *const *env)
{
	return knob->stand_in[0] != '\0' ? env_get(env, knob->stand_in) : NULL;
}

static int read_int(const struct lina_knob *knob, char *const *env, int *field)
{
	const char *text = env_get(env, knob->name);

	if (text != NULL)
		return parse_int(knob, knob->name, text, 10, field);
	/* NCCL takes hexadecimal and octal digits too. */
	text = stand_in_get(knob, env);
	if (text != NULL && parse_int(knob, knob->stand_in, text, 0, field) != 0)
		lina_warn("%s is left out", knob->stand_in);
	return 0;
}

static bool is_choice(const char *text, const char *choices)
{
	size_t len = strlen(text);

	if (choices[0] == '\0')
		return true;
	if (strchr(text, ' ') != NULL)
		return false;
	for (const char *at = choices; (at = strstr(at, text)) != NULL; at += len) {
		bool starts = at == choices || at[-1] == ' ';

		if (starts && (at[len] == ' ' || at[len] == '\0'))
			return true;
	}
	return false;
}

/* -E2BIG: it is too long. */
static int copy_text(const struct lina_knob *knob, const char *name, const char *text, char *field)
{
	size_t len = strlen(text);

	if (len >= LINA_CONFIG_TEXT_BYTES) {
		lina_warn("%s: %zu characters, must be at most %d", name, len,
			LINA_CONFIG_TEXT_BYTES - 1);
		return -E2BIG;
	}
	if (!is_choice(text, knob->choices)) {
		lina_warn("%s=%s: must be one of: %s", name, text, knob->choices);
		return -EINVAL;
	}
	memcpy(field, text, len + 1);
	return 0;
}

/* What is not known to be right is left out, but a long list of NCCL's is: who left it out would
 * use what the user excludes. */
static int read_text(const struct lina_knob *knob, char *const *env, char *field)
{
	const char *text = env_get(env, knob->name);

	if (text != NULL)
		return copy_text(knob, knob->name, text, field) != 0 ? -EINVAL : 0;
	text = stand_in_get(knob, env);
	int err = text != NULL ? copy_text(knob, knob->stand_in, text, field) : 0;
	if (err == -E2BIG)
		return -EINVAL;
	if (err != 0)
		lina_warn("%s is left out", knob->stand_in);
	return 0;
}

/* --- names nobody knows --- */

static size_t min_size(size_t a, size_t b)
{
	return a < b ? a : b;
}

enum { NAME_BYTES = 256 };

/* Levenshtein's edit distance between name and the first len characters of entry; at most
 * NAME_BYTES of each are looked at. */
static size_t edit_distance(const char *entry, size_t len, const char *name)
{
	size_t row[NAME_BYTES + 1];
	size_t nname = min_size(strlen(name), NAME_BYTES);

	len = min_size(len, NAME_BYTES);
	for (size_t j = 0; j <= nname; j++)
		row[j] = j;
	for (size_t i = 1; i <= len; i++) {
		size_t diagonal = row[0];

		row[0] = i;
		for (size_t j = 1; j <= nname; j++) {
			size_t swap = diagonal + (entry[i - 1] != name[j - 1]);

			diagonal = row[j];
			row[j] = min_size(swap, 1 + min_size(row[j], row[j - 1]));
		}
	}
	return row[nname];
}

static const char *closest_knob(const char *entry, size_t len)
{
	size_t best = SIZE_MAX;
	const char *name = knobs[0].name;

	for (size_t i = 0; i < NKNOBS; i++) {
		size_t distance = edit_distance(entry, len, knobs[i].name);

		if (distance < best) {
			best = distance;
			name = knobs[i].name;
		}
	}
	return name;
}

static bool is_known(const char *entry)
{
	for (size_t i = 0; i < NKNOBS; i++)
		if (is_named(entry, knobs[i].name))
			return true;
	for (size_t i = 0; i < NOTHERS; i++)
		if (is_named(entry, others[i]))
			return true;
	return false;
}

static bool is_heeded(const char *entry)
{
	for (size_t i = 0; i < NKNOBS; i++)
		if (is_named(entry, knobs[i].stand_in))
			return true;
	return false;
}

/* Who has set them for NCCL's own transport for RDMA may look for their effect here. Two are old
 * names of what NCCL itself heeds, whatever its network. */
static void note_unheeded(char *const *env)
{
	for (; *env != NULL; env++)
		if (strncmp(*env, "NCCL_IB_", 8) == 0 && !is_heeded(*env) &&
			!is_named(*env, "NCCL_IB_GDR_LEVEL") &&
			!is_named(*env, "NCCL_IB_CUDA_SUPPORT"))
			lina_info("%.*s is for NCCL's own transport and has no effect here",
				(int)name_len(*env), *env);
}

static void warn_of_strangers(char *const *env)
{
	for (; *env != NULL; env++) {
		size_t len = name_len(*env);

		if (strncmp(*env, "LINA_", 5) == 0 && !is_known(*env))
			lina_warn("%.*s: no such variable; did you mean %s?", (int)len, *env,
				closest_knob(*env, len));
	}
}

int lina_config_read(char *const *env, struct lina_config *config_p)
{
	struct lina_config config = { 0 };
	int result = 0;

	warn_of_strangers(env);
	note_unheeded(env);
	/* Every bad value is named, not just the first. */
	for (size_t i = 0; i < NKNOBS; i++) {
		const struct lina_knob *knob = &knobs[i];
		void *field = (char *)&config + knob->offset;
		int err;

		if (knob->kind == LINA_KNOB_INT) {
			*(int *)field = knob->initial;
			err = read_int(knob, env, field);
		} else {
			err = read_text(knob, env, field);
		}
		if (err != 0)
			result = err;
	}
	if (result == 0)
		*config_p = config;
	return result;
}
