/* The content of a segment, [how][bytes], the rest of it zeros: found by who joins, or put under
 * those who are in it. What is refused stays as it is; what is read keeps to its bounds. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fuzz/fuzz.h"
#include "plugin/link.h"
#include "plugin/log.h"
#include "plugin/share.h"
#include "plugin/share_layout.h"

const unsigned fuzz_inputs = 4000;

enum { UNDER_OWNERS = 1, SHORT = 2, GOOD_HEADER = 4, TOLD_NOW = 8 };

typedef struct lina_share_segment segment;

static char link_name[32];
static char path[LINA_SHARE_NAME_BYTES + 16];

static void names_make(void)
{
	char name[LINA_SHARE_NAME_BYTES];

	(void)snprintf(link_name, sizeof(link_name), "fuzz%d", (int)getpid());
	FUZZ_CHECK(!lina_share_name(link_name, name));
	(void)snprintf(path, sizeof(path), "/dev/shm%s", name);
	lina_log_set(record_log);
}

static void header_mend(struct lina_share_header *header)
{
	header->magic = LINA_SHARE_MAGIC;
	header->version = LINA_SHARE_VERSION;
	header->bytes = sizeof(segment);
	header->nslots = LINA_SHARE_SLOTS;
	header->slot_bytes = sizeof(struct lina_share_slot);
}

static void content_make(segment *s, unsigned how, const uint8_t *data, size_t size)
{
	memset((void *)s, 0, sizeof(*s));
	memcpy((void *)s, data, size < sizeof(*s) ? size : sizeof(*s));
	if (how & GOOD_HEADER)
		header_mend(&s->header);
	for (int i = 0; i < LINA_SHARE_SLOTS && how & TOLD_NOW; i++)
		s->slot[i].told_ns += lina_link_now_ns();
}

static void file_write(const segment *s, size_t size)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	FUZZ_CHECK(fd >= 0 && pwrite(fd, s, size, 0) == (ssize_t)size);
	(void)close(fd);
}

static void file_is(const segment *s, size_t size)
{
	uint8_t there[sizeof(*s) + 1];
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	FUZZ_CHECK(fd >= 0 && read(fd, there, sizeof(there)) == (ssize_t)size);
	FUZZ_CHECK(!memcmp(there, s, size));
	(void)close(fd);
}

static void read_check(const struct lina_share *share, uint64_t now_ns, uint64_t ahead_ns)
{
	uint64_t until_ns = lina_share_latency_until_ns(share, now_ns, ahead_ns);

	FUZZ_CHECK(until_ns == 0 || (until_ns > now_ns && until_ns - now_ns <= ahead_ns));
	FUZZ_CHECK(lina_share_bulk_flows(share, now_ns) <=
		   (uint32_t)(LINA_SHARE_SLOTS - 1) * LINA_SHARE_FLOWS_MAX);
}

static void share_check(struct lina_share *share)
{
	static const uint64_t aheads[] = { 0, 1, 1000000, UINT64_MAX };

	for (size_t i = 0; i < sizeof(aheads) / sizeof(*aheads); i++) {
		read_check(share, lina_link_now_ns(), aheads[i]);
		read_check(share, 0, aheads[i]);
		read_check(share, UINT64_MAX, aheads[i]);
	}
	lina_share_tell(share, lina_link_now_ns() + 1, 1);
}

/* Content that is there before anyone comes. */
static void found(const segment *s, size_t size)
{
	struct lina_share *share, *other;

	file_write(s, size);
	int err = lina_share_open(link_name, &share);
	if (err) {
		FUZZ_CHECK(err == -EPROTO && log_warnings() == 1);
		file_is(s, size);
		FUZZ_CHECK(!unlink(path));
		return;
	}
	FUZZ_CHECK(size == 0 || size == sizeof(*s));
	/* What was said before the first one came is nobody's word. */
	FUZZ_CHECK(!lina_share_bulk_flows(share, lina_link_now_ns()));
	FUZZ_CHECK(!lina_share_open(link_name, &other));
	share_check(share);
	lina_share_close(other);
	lina_share_close(share);
}

static void put_under_owners(const segment *s, size_t size)
{
	struct lina_share *a, *b, *late;

	FUZZ_CHECK(!lina_share_open(link_name, &a) && !lina_share_open(link_name, &b));
	file_write(s, size);
	share_check(a);
	share_check(b);
	if (!lina_share_open(link_name, &late)) {
		share_check(late);
		lina_share_close(late);
	}
	lina_share_close(a);
	lina_share_close(b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	unsigned how = size ? data[0] : 0;
	struct stat st;
	segment s;

	if (!*path)
		names_make();
	log_forget();
	content_make(&s, how, data + (size ? 1 : 0), size ? size - 1 : 0);
	size_t nbytes = how & SHORT && size ? size - 1 : sizeof(s);
	if (how & UNDER_OWNERS)
		put_under_owners(&s, nbytes);
	else
		found(&s, nbytes);
	FUZZ_CHECK(stat(path, &st) && errno == ENOENT);
	return 0;
}

size_t fuzz_seed(unsigned i, uint8_t *out, size_t room)
{
	static const uint8_t hows[] = { 0, UNDER_OWNERS, GOOD_HEADER | TOLD_NOW,
		UNDER_OWNERS | GOOD_HEADER | TOLD_NOW, UNDER_OWNERS | GOOD_HEADER, SHORT,
		SHORT | UNDER_OWNERS };
	struct script_writer w = { .out = out, .room = room };
	segment s = { .header.used = 5 };

	if (i >= sizeof(hows))
		return 0;
	header_mend(&s.header);
	for (int k = 0; k < 5; k++) {
		s.slot[k].latency_until_ns = UINT64_MAX >> 8 * k;
		s.slot[k].bulk_flows = UINT32_MAX >> 6 * k;
	}
	script_put_byte(&w, hows[i]);
	script_put(&w, &s, sizeof(s.header) + 5 * sizeof(s.slot[0]));
	return w.used;
}
