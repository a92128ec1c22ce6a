#include "perf/order.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum { WORDS_MAX = 4, LINE_BYTES = 256 };
static const double COMPUTE_MS_MAX = 1e5;
static const uint64_t BYTES_MAX = (uint64_t)1 << 40;

/* The line that is being read. */
struct reader {
	struct order *order;
	int capacity;
	char text[LINE_BYTES];
	char *word[WORDS_MAX + 1];
	int nwords;
	struct order_error *error;
};

static const struct {
	const char *word;
	enum order_kind kind;
} kinds[] = {
	{ "compute", ORDER_COMPUTE },
	{ "alltoall", ORDER_ALLTOALL },
	{ "all_gather", ORDER_ALL_GATHER },
	{ "reduce_scatter", ORDER_REDUCE_SCATTER },
	{ "all_reduce", ORDER_ALL_REDUCE },
	{ "wait", ORDER_WAIT },
};
enum { NKINDS = sizeof(kinds) / sizeof(*kinds) };

/* At word i, or at the end of the line where there are not so many. */
__attribute__((format(printf, 3, 4))) static int wrong(
	struct reader *reader, int i, const char *format, ...)
{
	const char *at = i < reader->nwords ? reader->word[i] : NULL;
	va_list args;

	reader->error->column = at != NULL ? (int)(at - reader->text) + 1 : 1;
	va_start(args, format);
	(void)vsnprintf(reader->error->text, sizeof(reader->error->text), format, args);
	va_end(args);
	return -EINVAL;
}

static void split(struct reader *reader)
{
	char *at = reader->text;

	at[strcspn(at, "#\r\n")] = '\0';
	for (reader->nwords = 0; reader->nwords <= WORDS_MAX; reader->nwords++) {
		at += strspn(at, " \t");
		if (*at == '\0')
			break;
		reader->word[reader->nwords] = at;
		at += strcspn(at, " \t");
		if (*at != '\0')
			*at++ = '\0';
	}
}

static int number(struct reader *reader, int i, uint64_t least, uint64_t most, uint64_t *value_p)
{
	const char *word = reader->word[i];
	char *end;

	errno = 0;
	unsigned long long value = strtoull(word, &end, 10);
	if (*word < '0' || *word > '9' || *end != '\0' || errno != 0 || value < least ||
		value > most)
		return wrong(reader, i, "'%.40s' is not a number from %llu to %llu", word,
			(unsigned long long)least, (unsigned long long)most);
	*value_p = value;
	return 0;
}

static int milliseconds(struct reader *reader, int i, double *value_p)
{
	const char *word = reader->word[i];
	char *end;
	double value = strtod(word, &end);

	if (*word < '0' || *word > '9' || *end != '\0' || !(value <= COMPUTE_MS_MAX))
		return wrong(
			reader, i, "'%.40s' is not a time from 0 to %.0f ms", word, COMPUTE_MS_MAX);
	*value_p = value;
	return 0;
}

static int group_find(const struct order *order, const char *name)
{
	int i = 0;

	while (i < order->ngroups && strcmp(order->group[i], name) != 0)
		i++;
	return i;
}

static int link_line(struct reader *reader)
{
	uint64_t mbps = 0;

	if (reader->nwords != 2)
		return wrong(reader, 0, "link has one word after it, Mbit/s");
	if (reader->order->link_mbps != 0)
		return wrong(reader, 0, "a second link");
	int err = number(reader, 1, 1, 100000000, &mbps);
	if (err)
		return err;
	reader->order->link_mbps = (uint32_t)mbps;
	return 0;
}

static int group_line(struct reader *reader)
{
	struct order *order = reader->order;

	if (reader->nwords != 2)
		return wrong(reader, 0, "group has one word after it, its name");
	const char *name = reader->word[1];
	if (strlen(name) >= ORDER_NAME_MAX || strchr(name, '/') != NULL)
		return wrong(reader, 1, "a name has at most %d characters, and no /",
			ORDER_NAME_MAX - 1);
	if (group_find(order, name) < order->ngroups)
		return wrong(reader, 1, "a second group '%.64s'", name);
	if (order->ngroups == ORDER_GROUPS_MAX)
		return wrong(reader, 0, "more than %d groups", ORDER_GROUPS_MAX);
	memcpy(order->group[order->ngroups++], name, strlen(name) + 1);
	return 0;
}

/* The words after the first, of an operation. */
static int op_words(struct reader *reader, struct order_op *op)
{
	bool collective = op->kind != ORDER_COMPUTE && op->kind != ORDER_WAIT;
	int nwords = collective ? 3 : 2;

	if (collective && reader->nwords == 4 && strcmp(reader->word[3], "beside") == 0) {
		op->beside = true;
		nwords = 4;
	}
	if (reader->nwords != nwords)
		return wrong(reader, reader->nwords > nwords ? nwords : 0, "%s has %s after it",
			reader->word[0],
			op->kind == ORDER_COMPUTE ? "one word, milliseconds"
			: op->kind == ORDER_WAIT  ? "one word, a group"
						  : "a group, bytes, and 'beside' or nothing");
	if (op->kind == ORDER_COMPUTE)
		return milliseconds(reader, 1, &op->ms);
	op->group = group_find(reader->order, reader->word[1]);
	if (op->group == reader->order->ngroups)
		return wrong(reader, 1, "there is no group '%.64s' above", reader->word[1]);
	return collective ? number(reader, 2, 1, BYTES_MAX, &op->bytes) : 0;
}

static int op_add(struct reader *reader, const struct order_op *op)
{
	struct order *order = reader->order;

	if (order->nops == ORDER_OPS_MAX)
		return wrong(reader, 0, "more than %d operations", ORDER_OPS_MAX);
	if (order->nops == reader->capacity) {
		int capacity = reader->capacity == 0 ? 64 : 2 * reader->capacity;
		void *grown = realloc(order->op, (size_t)capacity * sizeof(*order->op));
		if (grown == NULL)
			return -ENOMEM;
		order->op = grown;
		reader->capacity = capacity;
	}
	order->op[order->nops++] = *op;
	return 0;
}

static int read_line(struct reader *reader)
{
	struct order_op op = { 0 };
	int kind = 0;

	split(reader);
	if (reader->nwords == 0)
		return 0;
	if (strcmp(reader->word[0], "link") == 0)
		return link_line(reader);
	if (strcmp(reader->word[0], "group") == 0)
		return group_line(reader);
	while (kind < NKINDS && strcmp(reader->word[0], kinds[kind].word) != 0)
		kind++;
	if (kind == NKINDS)
		return wrong(reader, 0, "'%.40s' is no word of an order", reader->word[0]);
	op.kind = kinds[kind].kind;
	int err = op_words(reader, &op);
	return err ? err : op_add(reader, &op);
}

static int read_lines(struct reader *reader, FILE *file)
{
	int err = 0;

	while (!err && fgets(reader->text, sizeof(reader->text), file) != NULL) {
		reader->error->line++;
		if (strlen(reader->text) == sizeof(reader->text) - 1) {
			reader->nwords = 0;
			return wrong(reader, 0, "longer than %d characters", LINE_BYTES - 2);
		}
		err = read_line(reader);
	}
	if (err || ferror(file))
		return err ? err : -EIO;
	reader->nwords = 0;
	if (reader->order->link_mbps == 0)
		return wrong(reader, 0, "no link in this file");
	if (reader->order->nops == 0)
		return wrong(reader, 0, "nothing to do in this file");
	return 0;
}

int order_read(FILE *file, struct order **order_p, struct order_error *error_p)
{
	struct order *order = calloc(1, sizeof(*order));
	struct reader reader = { .order = order, .error = error_p };

	if (order == NULL)
		return -ENOMEM;
	*error_p = (struct order_error){ 0 };
	int err = read_lines(&reader, file);
	if (err)
		order_free(order);
	else
		*order_p = order;
	return err;
}

void order_free(struct order *order)
{
	free(order->op);
	free(order);
}
