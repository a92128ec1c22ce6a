/*
 * Bytes between peers of the tcp transport, and the only place that knows their layout. All fields
 * are big-endian. What is decoded comes from a stranger: every decoder checks all it returns, and
 * what it cannot check (is this slot mine?) its caller does.
 *
 *   handle   128 bytes, from listener to connector through NCCL's bootstrap
 *   hello     48 bytes, first on every lane, connector to listener
 *   welcome   24 bytes, the listener's answer
 *   credit     8 bytes + 12 for each buffer, receiver to sender (clear to send)
 *   grant     16 bytes, receiver to sender: how much bulk may come in all
 *   data      32 bytes + payload, sender to receiver: part of a message, against a credit
 *   early     32 bytes + payload, sender to receiver: a message ahead of its credit
 *
 * Errors: -EPROTO: not ours or damaged; -EPROTONOSUPPORT: ours, of another version.
 */
#ifndef LINA_PLUGIN_WIRE_H
#define LINA_PLUGIN_WIRE_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "plugin/net.h"

enum {
	LINA_WIRE_VERSION = 5,
	LINA_SECRET_BYTES = 16,
	LINA_LANES_MAX = 17, /* sockets of a connection; tcp.h says what each is for */
	LINA_HELLO_BYTES = 48,
	LINA_WELCOME_BYTES = 24,
	LINA_CREDIT_HEAD_BYTES = 8,
	LINA_CREDIT_ENTRY_BYTES = 12,
	LINA_CREDIT_MAX_BYTES = LINA_CREDIT_HEAD_BYTES + LINA_RECVS_MAX * LINA_CREDIT_ENTRY_BYTES,
	LINA_GRANT_BYTES = 16,
	LINA_DATA_HEAD_BYTES = 32,
	LINA_HANDLE_USED_BYTES = 72, /* the rest of a handle is zero on the wire */
};

union lina_addr {
	struct sockaddr sa;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
};

/* What carries the data of a connection. */
enum lina_wire_transport { LINA_WIRE_TCP, LINA_WIRE_VERBS, LINA_WIRE_NTRANSPORTS };

struct lina_wire_handle {
	union lina_addr addr; /* where the listener listens */
	enum lina_wire_transport transport;
	uint8_t secret[LINA_SECRET_BYTES];
	uint64_t who;    /* the listener's process; the same in all its handles */
	int32_t device;  /* of the placement table, that it is; LINA_DEVICE_UNKNOWN */
	uint64_t ticket; /* the connector's own note; 0 as made by the listener */
};

void lina_handle_encode(const struct lina_wire_handle *handle, uint8_t out[LINA_HANDLE_BYTES]);
int lina_handle_decode(const uint8_t in[LINA_HANDLE_BYTES], struct lina_wire_handle *handle_p);

/* Writes the connector's ticket into a handle that has been decoded before. */
void lina_handle_ticket_set(uint8_t handle[LINA_HANDLE_BYTES], uint64_t ticket);

struct lina_wire_hello {
	uint8_t secret[LINA_SECRET_BYTES];
	uint64_t conn_id; /* the same on all lanes of one attempt to connect */
	uint8_t lane;     /* 0..nlanes-1 */
	uint8_t nlanes;   /* 1..LINA_LANES_MAX */
};

void lina_hello_encode(const struct lina_wire_hello *hello, uint8_t out[LINA_HELLO_BYTES]);
int lina_hello_decode(const uint8_t in[LINA_HELLO_BYTES], struct lina_wire_hello *hello_p);

struct lina_wire_welcome {
	uint64_t conn_id;     /* the hello's */
	uint32_t early_bytes; /* standing credit: payload that may be on its way in early frames */
	uint32_t grant_bytes; /* the first grant */
};

void lina_welcome_encode(const struct lina_wire_welcome *welcome, uint8_t out[LINA_WELCOME_BYTES]);
int lina_welcome_decode(const uint8_t in[LINA_WELCOME_BYTES], struct lina_wire_welcome *welcome_p);

/* A receive of n buffers is posted: the sender may send n messages, each to the buffer of its tag.
 * slot and seq name the receive; the sender repeats them in its data frames. */
struct lina_wire_credit {
	uint16_t slot;
	uint32_t seq;
	int n; /* 1..LINA_RECVS_MAX */
	struct {
		int tag;
		uint64_t bytes; /* room in the buffer */
	} entry[LINA_RECVS_MAX];
};

/* Returns the bytes written, at most LINA_CREDIT_MAX_BYTES. */
size_t lina_credit_encode(const struct lina_wire_credit *credit, uint8_t *out);

/* Decodes one credit from the nbytes at in. Returns the bytes it took, 0 if it is not complete yet,
 * or -errno. */
int lina_credit_decode(const uint8_t *in, size_t nbytes, struct lina_wire_credit *credit_p);

/* Bulk payload, other than early, may come up to bytes in all on this connection, counted from its
 * beginning; what was granted is never taken back. */
struct lina_wire_grant {
	uint64_t bytes;
};

void lina_grant_encode(const struct lina_wire_grant *grant, uint8_t out[LINA_GRANT_BYTES]);

/* As lina_credit_decode. */
int lina_grant_decode(const uint8_t *in, size_t nbytes, struct lina_wire_grant *grant_p);

/* Whether what begins with this byte is a grant and not a credit. */
bool lina_is_grant(uint8_t first);

/* length bytes of payload follow. early false: the part of a message that begins at offset, for
 * buffer entry of the receive that slot and seq name. early true: a whole message for the first
 * buffer with its tag that is not among the first seen ones of the connection, all buffers counted
 * in the order of their receives, and that no early message has got before. */
struct lina_wire_data {
	bool early;
	bool bulk; /* the class that the sender gives the message */
	uint16_t slot;
	uint8_t entry;
	uint32_t seq;
	int tag;                /* early */
	uint32_t seen;          /* early: buffers the sender had credit for; wraps */
	uint64_t message_bytes; /* size of the whole message */
	uint64_t offset;        /* offset + length <= message_bytes */
	uint32_t length;        /* 0 only when message_bytes is 0 */
};

void lina_data_encode(const struct lina_wire_data *data, uint8_t out[LINA_DATA_HEAD_BYTES]);
int lina_data_decode(const uint8_t in[LINA_DATA_HEAD_BYTES], struct lina_wire_data *data_p);

#endif
