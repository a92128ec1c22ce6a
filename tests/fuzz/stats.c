/* Segments of counters, as lina-top reads them: [bytes of a segment, mostly zeros left out]. What
 * is accepted is within bounds, can be shown, and is text that no terminal obeys. */
#include <stdlib.h>
#include <string.h>

#include "fuzz/fuzz.h"
#include "plugin/metrics.h"
#include "plugin/top_view.h"

const unsigned fuzz_inputs = 20000;

/* An input is parts of [offset: 2 bytes, length: 1 byte, bytes], laid over a good segment that ends
 * after the rows it says there are. */
enum { LINKS = 3, ROWS = 4, SHORTER = 0xffff };

static struct lina_stats_header *good_segment(size_t *bytes_p)
{
	struct lina_stats *stats;
	struct lina_stats_link *link = NULL;

	if (lina_stats_open(NULL, &stats))
		die("no memory");
	for (int i = 0; i < LINKS; i++)
		link = lina_stats_link(stats, i ? "eth\"1" : "eth0", (enum lina_dir)(i % 2));
	for (int i = 0; i < ROWS; i++) {
		char peer[] = { (char)('a' + i), '\\', '\0' };
		struct lina_stats_row *row =
			lina_stats_row(stats, link, (enum lina_class)(i % 2), peer);
		lina_stats_add(&row->bytes, 1000);
		lina_stats_add(&row->wait[10 + i], 5);
	}
	struct lina_stats_header *copy = lina_stats_copy(stats, bytes_p);
	if (!copy)
		die("no memory");
	lina_stats_close(stats);
	return copy;
}

/* Where the fields are that matter: the header, then the used links and rows. */
static size_t place(uint16_t at, size_t bytes)
{
	const size_t front =
		sizeof(struct lina_stats_header) + LINKS * sizeof(struct lina_stats_link);
	const size_t rows = bytes - ROWS * sizeof(struct lina_stats_row);

	at = (uint16_t)(at % (front + bytes - rows));
	return at < front ? at : rows + at - front;
}

static void spoil(
	struct lina_stats_header *segment, size_t *bytes, const uint8_t *data, size_t size)
{
	const size_t whole = *bytes; /* however much shorter it is to be */
	struct script s = { data, size };

	while (s.left) {
		unsigned at = script_byte(&s);
		at |= (unsigned)script_byte(&s) << 8;
		size_t n = script_byte(&s);
		if (at == SHORTER) {
			*bytes -= n < *bytes ? n : *bytes;
			continue;
		}
		size_t to = place((uint16_t)at, whole), got;
		const uint8_t *part = script_bytes(&s, n, &got);
		if (to + got <= whole)
			memcpy((uint8_t *)segment + to, part, got);
	}
}

static void printable_check(const char *text)
{
	FUZZ_CHECK(strnlen(text, LINA_STATS_NAME_BYTES) < LINA_STATS_NAME_BYTES);
	for (; *text; text++)
		FUZZ_CHECK(*text >= 0x20 && *text < 0x7f);
}

static void view_check(const struct lina_stats_view *v, const void *segment, size_t bytes)
{
	FUZZ_CHECK((const char *)(v->rows + v->nrows) <= (const char *)segment + bytes);
	FUZZ_CHECK((const void *)(v->links + v->nlinks) <= (const void *)v->rows);
	printable_check(v->header->program);
	for (uint32_t i = 0; i < v->nlinks; i++) {
		FUZZ_CHECK(v->links[i].dir < LINA_NDIRS);
		printable_check(v->links[i].name);
	}
	for (uint32_t i = 0; i < v->nrows; i++) {
		FUZZ_CHECK(v->rows[i].link < v->nlinks && v->rows[i].cls < LINA_NCLASSES);
		printable_check(v->rows[i].peer);
	}
}

static void show(const struct lina_stats_view *view)
{
	static FILE *nowhere;

	if (!nowhere && !(nowhere = fopen("/dev/null", "w")))
		die("no /dev/null");
	const struct lina_top_sample sample = { .now = *view, .seconds = 1, .up_seconds = 1 };
	lina_top_print(nowhere, &sample, 0);
	lina_top_print_json(nowhere, &sample);
	lina_metrics_print(nowhere, view);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct lina_stats_header *good;
	static size_t good_bytes;
	struct lina_stats_view view;

	if (!good)
		good = good_segment(&good_bytes);
	size_t bytes = good_bytes;
	struct lina_stats_header *whole = malloc(bytes);
	if (!whole)
		die("no memory");
	memcpy(whole, good, bytes);
	spoil(whole, &bytes, data, size);
	/* Of its exact size. */
	struct lina_stats_header *segment = malloc(bytes ? bytes : 1);
	if (!segment)
		die("no memory");
	memcpy(segment, whole, bytes);
	free(whole);
	if (lina_stats_check(segment, bytes, &view) == 0) {
		view_check(&view, segment, bytes);
		show(&view);
	}
	free(segment);
	return 0;
}

size_t fuzz_seed(unsigned i, uint8_t *out, size_t room)
{
	static const size_t header_fields[] = { offsetof(struct lina_stats_header, nlinks_max),
		offsetof(struct lina_stats_header, nrows_max),
		offsetof(struct lina_stats_header, nrows),
		offsetof(struct lina_stats_header, nlinks),
		offsetof(struct lina_stats_header, program),
		sizeof(struct lina_stats_header) + offsetof(struct lina_stats_link, dir),
		sizeof(struct lina_stats_header) + LINKS * sizeof(struct lina_stats_link),
		SHORTER };
	const unsigned char value[] = { 3, 0, 0, 0 };
	struct script_writer w = { .out = out, .room = room };

	if (i >= sizeof(header_fields) / sizeof(header_fields[0]))
		return 0;
	script_put_byte(&w, (unsigned)(header_fields[i] & 0xff));
	script_put_byte(&w, (unsigned)(header_fields[i] >> 8));
	script_put_byte(&w, sizeof(value));
	if (header_fields[i] != SHORTER)
		script_put(&w, value, sizeof(value));
	return w.used;
}
