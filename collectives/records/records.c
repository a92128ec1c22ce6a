#include "collectives/records/records.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "collectives/records/format.h"

struct lina_records {
	enum lina_records_format format;
	const struct lina_records_ops *ops;
	struct lina_input *in;
	void *state;
	int ended; /* what next said at last, 0 or an error; 1: it has not ended */
	struct lina_plan_text_fault fault;
};

/* In the order in which one is asked whether it knows a file. */
static const struct {
	const char *name;
	const struct lina_records_ops *ops;
} formats[LINA_RECORDS_NFORMATS] = {
	[LINA_RECORDS_AUTO] = { "auto", NULL },
	[LINA_RECORDS_MEGATRON] = { "megatron", &lina_records_megatron },
	[LINA_RECORDS_VLLM] = { "vllm", &lina_records_vllm },
	[LINA_RECORDS_COUNTS] = { "counts", &lina_records_counts },
	[LINA_RECORDS_CSV] = { "csv", &lina_records_csv },
};

const char *lina_records_format_name(enum lina_records_format format)
{
	return (unsigned)format < LINA_RECORDS_NFORMATS ? formats[format].name : NULL;
}

int lina_records_format_parse(const char *name, enum lina_records_format *format_p)
{
	for (int i = 0; i < LINA_RECORDS_NFORMATS; i++)
		if (strcmp(name, formats[i].name) == 0) {
			*format_p = (enum lina_records_format)i;
			return 0;
		}
	return -EINVAL;
}

int lina_records_no_memory(struct lina_plan_text_fault *fault_p)
{
	(void)lina_input_fault(fault_p, 0, 0, "%s", strerror(ENOMEM));
	return -ENOMEM;
}

void lina_records_printable(const char *text, size_t n, char *out, size_t room)
{
	size_t shown = n < room - 1 ? n : room - 1;

	for (size_t i = 0; i < shown; i++)
		out[i] = (char)(text[i] < ' ' || text[i] > '~' ? '?' : text[i]);
	out[shown] = '\0';
}

int lina_ints_reserve(struct lina_ints *ints, size_t n, struct lina_plan_text_fault *fault_p)
{
	size_t room = 2 * ints->room > n ? 2 * ints->room : n;
	int *at;

	if (n <= ints->room)
		return 0;
	at = realloc(ints->at, room * sizeof(*at));
	if (!at)
		return lina_records_no_memory(fault_p);
	*ints = (struct lina_ints){ at, room };
	return 0;
}

static int find(struct lina_input *in, enum lina_records_format *format_p,
	struct lina_plan_text_fault *fault_p)
{
	const char *bytes;
	size_t n;
	int err = lina_input_peek(in, LINA_RECORDS_LOOK_BYTES, &bytes, &n, fault_p);

	if (err)
		return err;
	if (!n)
		return lina_input_fault(fault_p, 1, 1, "expected records, but the file is empty");
	for (int i = LINA_RECORDS_AUTO + 1; i < LINA_RECORDS_NFORMATS; i++)
		if (formats[i].ops->knows(bytes, n)) {
			*format_p = (enum lina_records_format)i;
			return 0;
		}
	return lina_input_fault(fault_p, 1, 1,
		"expected records: JSON lines of Megatron, a NumPy array, JSON counts, or CSV "
		"with a line of column names");
}

/* What spreadsheets put in front of UTF-8. */
static int pass_mark(struct lina_input *in, struct lina_plan_text_fault *fault_p)
{
	static const char mark[] = "\xef\xbb\xbf";
	const size_t want = sizeof(mark) - 1;
	const char *bytes;
	size_t n;
	int err = lina_input_peek(in, want, &bytes, &n, fault_p);

	if (!err && n >= want && memcmp(bytes, mark, want) == 0)
		lina_input_skip(in, want);
	return err;
}

int lina_records_create(struct lina_input *in, const struct lina_records_options *options,
	struct lina_records **records_p, struct lina_plan_text_fault *fault_p)
{
	struct lina_records *r = calloc(1, sizeof(*r));

	if (!r) {
		lina_input_close(in);
		return lina_records_no_memory(fault_p);
	}
	r->in = in;
	r->ended = 1;
	r->format = options->format;
	int err = pass_mark(in, fault_p);
	if (!err && r->format == LINA_RECORDS_AUTO)
		err = find(in, &r->format, fault_p);
	if (!err && options->only_column && r->format != LINA_RECORDS_CSV)
		err = lina_input_fault(fault_p, 0, 0,
			"only the lines of a CSV file can be chosen by a value, and it is %s",
			lina_records_format_name(r->format));
	if (!err) {
		r->ops = formats[r->format].ops;
		err = r->ops->open(in, options, &r->state, fault_p);
	}
	if (err) {
		r->state = NULL;
		lina_records_destroy(r);
		return err;
	}
	*records_p = r;
	return 0;
}

void lina_records_destroy(struct lina_records *records)
{
	if (!records)
		return;
	if (records->state)
		records->ops->close(records->state);
	lina_input_close(records->in);
	free(records);
}

int lina_records_next(struct lina_records *records, struct lina_record *record_p,
	struct lina_plan_text_fault *fault_p)
{
	struct lina_records *r = records;

	if (r->ended == 1)
		r->ended = r->ops->next(r->state, r->in, record_p, &r->fault);
	if (r->ended < 0)
		*fault_p = r->fault;
	return r->ended;
}

enum lina_records_format lina_records_format_of(const struct lina_records *records)
{
	return records->format;
}

const struct lina_input *lina_records_input(const struct lina_records *records)
{
	return records->in;
}
