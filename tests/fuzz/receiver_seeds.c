/* Inputs of the receiver's target to begin with. */
#include "fuzz/fuzz.h"
#include "fuzz/receiver.h"
#include "plugin/wire.h"

static void put_post(struct script_writer *w, int n, int tag, int room16)
{
	script_put_byte(w, POST);
	script_put_byte(w, (unsigned)n - 1);
	for (int i = 0; i < n; i++) {
		script_put_byte(w, (unsigned)(tag + i));
		script_put_byte(w, (unsigned)room16);
	}
}

static void put_test(struct script_writer *w, int post)
{
	script_put_byte(w, TEST);
	script_put_byte(w, (unsigned)post);
}

static void put_part(struct script_writer *w, int lane, const struct lina_wire_data *d)
{
	const uint8_t step[] = { PART, (uint8_t)(lane | (d->bulk ? BULK : 0)), (uint8_t)d->slot,
		d->entry, (uint8_t)d->seq, (uint8_t)(d->message_bytes / 8),
		(uint8_t)(d->offset / 8), (uint8_t)(d->length / 8) };

	script_put(w, step, sizeof(step));
}

static void put_early(struct script_writer *w, int lane, const struct lina_wire_data *d)
{
	const uint8_t step[] = { EARLY, (uint8_t)(lane | (d->bulk ? BULK : 0)), (uint8_t)d->tag,
		(uint8_t)d->seen, (uint8_t)(d->length / 8) };

	script_put(w, step, sizeof(step));
}

static void put_fill(struct script_writer *w, int lane, size_t bytes)
{
	const uint8_t step[] = { FILL, (uint8_t)lane, (uint8_t)(bytes / 8) };

	script_put(w, step, sizeof(step));
}

/* A frame whose payload is a multiple of 8. */
static void put_frame(struct script_writer *w, int lane, const struct lina_wire_data *d)
{
	if (d->early)
		put_early(w, lane, d);
	else
		put_part(w, lane, d);
	put_fill(w, lane, d->length);
}

/* The same as bytes, every one of which a mutation can reach. */
static void put_raw(struct script_writer *w, int lane, const struct lina_wire_data *d)
{
	uint8_t head[LINA_DATA_HEAD_BYTES];

	lina_data_encode(d, head);
	script_put_byte(w, SEND);
	script_put_byte(w, (unsigned)lane);
	script_put_byte(w, sizeof(head));
	script_put(w, head, sizeof(head));
	put_fill(w, lane, d->length);
}

static struct lina_wire_data part_of(int slot, int entry, unsigned bytes)
{
	return (struct lina_wire_data){ .slot = (uint16_t)slot,
		.entry = (uint8_t)entry,
		.seq = 1,
		.message_bytes = bytes,
		.length = bytes };
}

static struct lina_wire_data early_of(int tag, unsigned seen, unsigned bytes)
{
	return (struct lina_wire_data){
		.early = true, .tag = tag, .seen = seen, .message_bytes = bytes, .length = bytes
	};
}

/* One message in each of two lanes, and its slot used again. */
static void seed_parts(struct script_writer *w)
{
	struct lina_wire_data d = part_of(0, 0, 1600);

	script_put_byte(w, 1);
	put_post(w, 1, 5, 100);
	d.length = 800;
	put_frame(w, 0, &d);
	put_test(w, 0);
	d.offset = 800;
	put_frame(w, 1, &d);
	put_test(w, 0);
	put_post(w, 1, 5, 10);
	d = part_of(0, 0, 80);
	d.seq = 2;
	put_frame(w, 0, &d);
	put_test(w, 1);
}

/* A grouped receive of three and another receive that ends before it. */
static void seed_group(struct script_writer *w)
{
	script_put_byte(w, 0);
	put_post(w, 3, 1, 20);
	put_post(w, 1, 9, 20);
	for (int i = 2; i >= 0; i--) {
		struct lina_wire_data d = part_of(0, i, i ? 320 : 0);
		put_frame(w, 0, &d);
		if (i == 2) {
			d = part_of(1, 0, 160);
			put_frame(w, 0, &d);
			put_test(w, 1);
		}
	}
	put_test(w, 0);
}

/* Early messages: posted before, posted after, set aside. */
static void seed_early(struct script_writer *w)
{
	struct lina_wire_data d = early_of(3, 0, 64);

	script_put_byte(w, 0);
	put_post(w, 1, 3, 10);
	put_frame(w, 0, &d);
	put_test(w, 0);
	d = early_of(4, 1, 160);
	put_frame(w, 0, &d);
	put_post(w, 1, 8, 10);
	put_test(w, 1);
	d = early_of(8, 1, 0);
	put_frame(w, 0, &d);
	put_test(w, 1);
	put_post(w, 1, 4, 10);
	put_test(w, 2);
}

/* Both lanes carry payload of one message at the same time, and the later one ends first. */
static void seed_crossed(struct script_writer *w)
{
	struct lina_wire_data d = part_of(0, 0, 1600);

	script_put_byte(w, 1);
	put_post(w, 1, 5, 100);
	d.length = 800;
	put_part(w, 0, &d);
	put_fill(w, 0, 80);
	put_test(w, 0);
	d.offset = 800;
	put_part(w, 1, &d);
	put_fill(w, 1, 800);
	put_test(w, 0);
	put_fill(w, 0, 720);
	put_test(w, 0);
}

static void seed_raw(struct script_writer *w)
{
	struct lina_wire_data d = part_of(0, 1, 320);

	script_put_byte(w, 0);
	put_post(w, 2, 1, 20);
	put_raw(w, 0, &d);
	d = early_of(1, 0, 320);
	put_raw(w, 0, &d);
	put_test(w, 0);
}

/* Nearly right: a message of no bytes comes twice, and stands for its neighbour. */
static void seed_twice(struct script_writer *w)
{
	struct lina_wire_data d = part_of(0, 0, 0);

	script_put_byte(w, 0);
	put_post(w, 2, 1, 20);
	put_part(w, 0, &d);
	put_part(w, 0, &d);
	put_test(w, 0);
}

/* Nearly right: the whole message on one lane while another still carries a part of it. */
static void seed_overlap(struct script_writer *w)
{
	struct lina_wire_data d = part_of(0, 0, 160);

	script_put_byte(w, 1);
	put_post(w, 1, 5, 10);
	put_post(w, 1, 6, 10);
	d.length = 80;
	put_part(w, 0, &d);
	put_test(w, 0);
	d.length = 160;
	put_frame(w, 1, &d);
	put_test(w, 0);
	put_fill(w, 0, 80);
	put_test(w, 1);
}

/* Nearly right: a slot that no receive has. */
static void seed_unused(struct script_writer *w)
{
	struct lina_wire_data d = part_of(1, 0, 0);

	script_put_byte(w, 0);
	put_post(w, 1, 5, 10);
	put_part(w, 0, &d);
	put_test(w, 0);
}

/* Bulk as far as grants reach, with a latency message half in, and an early one. */
static void seed_bulk(struct script_writer *w)
{
	struct lina_wire_data bulk = part_of(0, 0, 2032), latency = part_of(1, 0, 160);
	struct lina_wire_data e = early_of(7, 2, 80);

	bulk.bulk = e.bulk = true;
	latency.length = 80;
	script_put_byte(w, 0);
	put_post(w, 1, 5, 127);
	put_post(w, 1, 6, 10);
	bulk.length = 1024;
	put_frame(w, 0, &bulk);
	put_frame(w, 0, &latency);
	put_test(w, 0);
	bulk.offset = 1024;
	bulk.length = 1008;
	put_frame(w, 0, &bulk);
	put_test(w, 0);
	latency.offset = 80;
	put_frame(w, 0, &latency);
	put_frame(w, 0, &e);
	put_test(w, 1);
	put_post(w, 1, 7, 5);
	put_test(w, 2);
}

/* Nearly right: more bulk than is granted, of messages that are never read to their end. */
static void seed_grant(struct script_writer *w)
{
	struct lina_wire_data bulk = part_of(0, 0, 2032);

	bulk.bulk = true;
	script_put_byte(w, 2);
	put_post(w, 3, 5, 127);
	put_part(w, 0, &bulk);
	bulk.entry = 1;
	put_part(w, 1, &bulk);
	bulk.entry = 2;
	put_part(w, 2, &bulk);
	put_test(w, 0);
}

/* The peer leaves in the middle of a message. */
static void seed_close(struct script_writer *w)
{
	struct lina_wire_data d = part_of(0, 0, 320);

	script_put_byte(w, 0);
	put_post(w, 1, 3, 20);
	d.length = 160;
	put_frame(w, 0, &d);
	put_test(w, 0);
	script_put_byte(w, CLOSE);
	script_put_byte(w, 0);
	put_test(w, 0);
}

size_t fuzz_seed(unsigned i, uint8_t *out, size_t room)
{
	static void (*const seeds[])(struct script_writer *) = { seed_parts, seed_group, seed_early,
		seed_crossed, seed_raw, seed_close, seed_twice, seed_overlap, seed_unused,
		seed_bulk, seed_grant };
	struct script_writer w = { out, 0, room };

	if (i >= sizeof(seeds) / sizeof(*seeds))
		return 0;
	seeds[i](&w);
	return w.used;
}
