#include "plugin/wire.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

enum { MAGIC = 0x4c494e41 }; /* "LINA" */
enum { FAMILY_INET = 4, FAMILY_INET6 = 6 };
enum { TYPE_CREDIT = 0xc1, TYPE_GRANT = 0xc2 };
enum { TYPE_DATA = 0xda, TYPE_EARLY = 0xea, BULK = 0x01 }; /* bulk sets the lowest bit */

/* Offsets within a handle. */
enum {
	H_FAMILY = 6,
	H_TRANSPORT = 7,
	H_PORT = 8,
	H_ADDR = 12,
	H_SECRET = 28,
	H_WHO = 44,
	H_DEVICE = 52,
	H_CHECK = 56,
	H_TICKET = 60,
	H_END = 68
};
_Static_assert((int)H_END <= (int)LINA_HANDLE_USED_BYTES, "handle fields overlap its zero part");
_Static_assert((int)LINA_HANDLE_USED_BYTES <= (int)LINA_HANDLE_BYTES, "handle too large for NCCL");

static void put_u16(uint8_t *p, uint16_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static void put_u32(uint8_t *p, uint32_t v)
{
	put_u16(p, (uint16_t)(v >> 16));
	put_u16(p + 2, (uint16_t)v);
}

static void put_u64(uint8_t *p, uint64_t v)
{
	put_u32(p, (uint32_t)(v >> 32));
	put_u32(p + 4, (uint32_t)v);
}

static uint16_t get_u16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static uint32_t get_u32(const uint8_t *p)
{
	return (uint32_t)get_u16(p) << 16 | get_u16(p + 2);
}

static uint64_t get_u64(const uint8_t *p)
{
	return (uint64_t)get_u32(p) << 32 | get_u32(p + 4);
}

static void magic_put(uint8_t *p)
{
	put_u32(p, MAGIC);
	put_u16(p + 4, LINA_WIRE_VERSION);
}

static int magic_check(const uint8_t *p)
{
	if (get_u32(p) != MAGIC)
		return -EPROTO;
	return get_u16(p + 4) == LINA_WIRE_VERSION ? 0 : -EPROTONOSUPPORT;
}

/* FNV-1a: finds a handle that was truncated or overwritten on its way; no protection against
 * forgery, which the secret is for. */
static uint32_t checksum(const uint8_t *p, size_t n)
{
	uint32_t sum = 2166136261u;
	for (size_t i = 0; i < n; i++)
		sum = (sum ^ p[i]) * 16777619u;
	return sum;
}

void lina_handle_encode(const struct lina_wire_handle *handle, uint8_t out[LINA_HANDLE_BYTES])
{
	const union lina_addr *a = &handle->addr;

	memset(out, 0, LINA_HANDLE_BYTES);
	magic_put(out);
	if (a->sa.sa_family == AF_INET6) {
		out[H_FAMILY] = FAMILY_INET6;
		memcpy(out + H_ADDR, &a->in6.sin6_addr, 16);
		put_u16(out + H_PORT, ntohs(a->in6.sin6_port));
	} else {
		out[H_FAMILY] = FAMILY_INET;
		memcpy(out + H_ADDR, &a->in.sin_addr, 4);
		put_u16(out + H_PORT, ntohs(a->in.sin_port));
	}
	out[H_TRANSPORT] = (uint8_t)handle->transport;
	memcpy(out + H_SECRET, handle->secret, LINA_SECRET_BYTES);
	put_u64(out + H_WHO, handle->who);
	put_u32(out + H_DEVICE, (uint32_t)handle->device);
	put_u32(out + H_CHECK, checksum(out, H_CHECK));
	put_u64(out + H_TICKET, handle->ticket);
}

static bool all_zero(const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (p[i])
			return false;
	return true;
}

static int addr_decode(const uint8_t *in, union lina_addr *addr_p)
{
	memset(addr_p, 0, sizeof(*addr_p));
	switch (in[H_FAMILY]) {
	case FAMILY_INET:
		addr_p->in.sin_family = AF_INET;
		addr_p->in.sin_port = htons(get_u16(in + H_PORT));
		memcpy(&addr_p->in.sin_addr, in + H_ADDR, 4);
		return 0;
	case FAMILY_INET6:
		addr_p->in6.sin6_family = AF_INET6;
		addr_p->in6.sin6_port = htons(get_u16(in + H_PORT));
		memcpy(&addr_p->in6.sin6_addr, in + H_ADDR, 16);
		return 0;
	default:
		return -EPROTO;
	}
}

int lina_handle_decode(const uint8_t in[LINA_HANDLE_BYTES], struct lina_wire_handle *handle_p)
{
	struct lina_wire_handle handle;

	int err = magic_check(in);
	if (err)
		return err;
	if (get_u32(in + H_CHECK) != checksum(in, H_CHECK) || get_u16(in + H_PORT) == 0 ||
		in[H_TRANSPORT] >= LINA_WIRE_NTRANSPORTS ||
		!all_zero(in + H_END, LINA_HANDLE_BYTES - H_END))
		return -EPROTO;
	err = addr_decode(in, &handle.addr);
	if (err)
		return err;
	handle.transport = (enum lina_wire_transport)in[H_TRANSPORT];
	memcpy(handle.secret, in + H_SECRET, LINA_SECRET_BYTES);
	handle.who = get_u64(in + H_WHO);
	handle.device = (int32_t)get_u32(in + H_DEVICE);
	handle.ticket = get_u64(in + H_TICKET);
	*handle_p = handle;
	return 0;
}

void lina_handle_ticket_set(uint8_t handle[LINA_HANDLE_BYTES], uint64_t ticket)
{
	put_u64(handle + H_TICKET, ticket);
}

void lina_hello_encode(const struct lina_wire_hello *hello, uint8_t out[LINA_HELLO_BYTES])
{
	memset(out, 0, LINA_HELLO_BYTES);
	magic_put(out);
	out[6] = hello->lane;
	out[7] = hello->nlanes;
	put_u64(out + 8, hello->conn_id);
	memcpy(out + 16, hello->secret, LINA_SECRET_BYTES);
}

int lina_hello_decode(const uint8_t in[LINA_HELLO_BYTES], struct lina_wire_hello *hello_p)
{
	int err = magic_check(in);
	if (err)
		return err;
	if (in[7] < 1 || in[7] > LINA_LANES_MAX || in[6] >= in[7])
		return -EPROTO;
	if (!all_zero(in + 16 + LINA_SECRET_BYTES, LINA_HELLO_BYTES - 16 - LINA_SECRET_BYTES))
		return -EPROTO;
	hello_p->lane = in[6];
	hello_p->nlanes = in[7];
	hello_p->conn_id = get_u64(in + 8);
	memcpy(hello_p->secret, in + 16, LINA_SECRET_BYTES);
	return 0;
}

void lina_welcome_encode(const struct lina_wire_welcome *welcome, uint8_t out[LINA_WELCOME_BYTES])
{
	memset(out, 0, LINA_WELCOME_BYTES);
	magic_put(out);
	put_u64(out + 8, welcome->conn_id);
	put_u32(out + 16, welcome->early_bytes);
	put_u32(out + 20, welcome->grant_bytes);
}

int lina_welcome_decode(const uint8_t in[LINA_WELCOME_BYTES], struct lina_wire_welcome *welcome_p)
{
	int err = magic_check(in);
	if (err)
		return err;
	if (get_u16(in + 6))
		return -EPROTO;
	welcome_p->conn_id = get_u64(in + 8);
	welcome_p->early_bytes = get_u32(in + 16);
	welcome_p->grant_bytes = get_u32(in + 20);
	return 0;
}

size_t lina_credit_encode(const struct lina_wire_credit *credit, uint8_t *out)
{
	out[0] = TYPE_CREDIT;
	out[1] = (uint8_t)credit->n;
	put_u16(out + 2, credit->slot);
	put_u32(out + 4, credit->seq);
	uint8_t *p = out + LINA_CREDIT_HEAD_BYTES;
	for (int i = 0; i < credit->n; i++, p += LINA_CREDIT_ENTRY_BYTES) {
		put_u32(p, (uint32_t)credit->entry[i].tag);
		put_u64(p + 4, credit->entry[i].bytes);
	}
	return (size_t)(p - out);
}

int lina_credit_decode(const uint8_t *in, size_t nbytes, struct lina_wire_credit *credit_p)
{
	if (nbytes < LINA_CREDIT_HEAD_BYTES)
		return 0;
	if (in[0] != TYPE_CREDIT || in[1] < 1 || in[1] > LINA_RECVS_MAX)
		return -EPROTO;
	int size = LINA_CREDIT_HEAD_BYTES + in[1] * LINA_CREDIT_ENTRY_BYTES;
	if (nbytes < (size_t)size)
		return 0;
	credit_p->n = in[1];
	credit_p->slot = get_u16(in + 2);
	credit_p->seq = get_u32(in + 4);
	const uint8_t *p = in + LINA_CREDIT_HEAD_BYTES;
	for (int i = 0; i < credit_p->n; i++, p += LINA_CREDIT_ENTRY_BYTES) {
		credit_p->entry[i].tag = (int)get_u32(p);
		credit_p->entry[i].bytes = get_u64(p + 4);
	}
	return size;
}

void lina_grant_encode(const struct lina_wire_grant *grant, uint8_t out[LINA_GRANT_BYTES])
{
	memset(out, 0, LINA_GRANT_BYTES);
	out[0] = TYPE_GRANT;
	put_u64(out + 8, grant->bytes);
}

int lina_grant_decode(const uint8_t *in, size_t nbytes, struct lina_wire_grant *grant_p)
{
	if (nbytes < LINA_GRANT_BYTES)
		return 0;
	if (in[0] != TYPE_GRANT || !all_zero(in + 1, 7))
		return -EPROTO;
	grant_p->bytes = get_u64(in + 8);
	return LINA_GRANT_BYTES;
}

bool lina_is_grant(uint8_t first)
{
	return first == TYPE_GRANT;
}

void lina_data_encode(const struct lina_wire_data *data, uint8_t out[LINA_DATA_HEAD_BYTES])
{
	out[0] = (uint8_t)((data->early ? TYPE_EARLY : TYPE_DATA) | (data->bulk ? BULK : 0));
	out[1] = data->entry;
	put_u16(out + 2, data->slot);
	put_u32(out + 4, data->early ? (uint32_t)data->tag : data->seq);
	put_u64(out + 8, data->message_bytes);
	put_u64(out + 16, data->offset);
	put_u32(out + 24, data->length);
	put_u32(out + 28, data->seen);
}

static int part_check(const struct lina_wire_data *d)
{
	if (d->entry >= LINA_RECVS_MAX || d->seen)
		return -EPROTO;
	if (d->offset > d->message_bytes || d->length > d->message_bytes - d->offset)
		return -EPROTO;
	return d->length == 0 && d->message_bytes != 0 ? -EPROTO : 0;
}

static int early_check(const struct lina_wire_data *d)
{
	bool whole = d->offset == 0 && d->length == d->message_bytes;
	return d->entry == 0 && d->slot == 0 && whole ? 0 : -EPROTO;
}

int lina_data_decode(const uint8_t in[LINA_DATA_HEAD_BYTES], struct lina_wire_data *data_p)
{
	struct lina_wire_data d = {
		.early = (in[0] & ~BULK) == TYPE_EARLY,
		.bulk = in[0] & BULK,
		.entry = in[1],
		.slot = get_u16(in + 2),
		.message_bytes = get_u64(in + 8),
		.offset = get_u64(in + 16),
		.length = get_u32(in + 24),
		.seen = get_u32(in + 28),
	};
	if (d.early)
		d.tag = (int)get_u32(in + 4);
	else
		d.seq = get_u32(in + 4);
	int err = -EPROTO;
	if (d.early)
		err = early_check(&d);
	else if ((in[0] & ~BULK) == TYPE_DATA)
		err = part_check(&d);
	if (!err)
		*data_p = d;
	return err;
}
