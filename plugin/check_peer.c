/* Two lina-checks on two hosts: each sends to the other. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "plugin/check_test.h"

enum {
	PINGS = 200,
	BULK_BYTES = 1 << 20,
	BULK_MESSAGES = 64,
	STALLED_S = 20, /* without a byte */
};

/* Both directions. */
struct peer {
	struct check_wire *out, *in;
};

/* One whole transfer. */
static int carry(struct check_wire *wire, void *data, size_t bytes)
{
	double until_s = check_now_s() + STALLED_S;
	int err;

	while ((err = check_wire_post(wire, data, bytes)) == -EAGAIN)
		if (check_now_s() > until_s)
			return -ETIMEDOUT;
	while (!err) {
		err = check_wire_step(wire);
		if (!err && check_now_s() > until_s)
			err = -ETIMEDOUT;
	}
	return err < 0 ? err : 0;
}

static void pattern(uint8_t *data, size_t bytes, unsigned seed)
{
	for (size_t i = 0; i < bytes; i++)
		data[i] = (uint8_t)(i * 7 + (i >> 8) + seed);
}

static int same(const uint8_t *data, size_t bytes, unsigned seed)
{
	for (size_t i = 0; i < bytes; i++)
		if (data[i] != (uint8_t)(i * 7 + (i >> 8) + seed))
			return -EBADMSG;
	return 0;
}

/* --- what both sides do, in turn: first true begins --- */

static int pings(const struct peer *peer, bool first, double *one_way_us_p)
{
	uint8_t data[8] = { 0 };
	double begin_s = check_now_s();
	int err = 0;

	for (int i = 0; i < PINGS && !err; i++) {
		err = carry(first ? peer->out : peer->in, data, sizeof(data));
		if (!err)
			err = carry(first ? peer->in : peer->out, data, sizeof(data));
	}
	*one_way_us_p = (check_now_s() - begin_s) / PINGS / 2 * 1e6;
	return err;
}

static int send_all(const struct peer *peer, uint8_t *data, double *byte_ps_p)
{
	double begin_s = check_now_s();
	uint8_t answer;
	int err = 0;

	for (unsigned i = 0; i < BULK_MESSAGES && !err; i++)
		err = carry(peer->out, data, BULK_BYTES);
	if (!err) /* all is there only when the other side says so */
		err = carry(peer->in, &answer, 1);
	*byte_ps_p = (double)BULK_MESSAGES * BULK_BYTES / (check_now_s() - begin_s);
	return err;
}

static int receive_all(const struct peer *peer, uint8_t *data)
{
	uint8_t answer = 1;
	int err = 0;

	for (unsigned i = 0; i < BULK_MESSAGES && !err; i++) {
		memset(data, 0, BULK_BYTES);
		err = carry(peer->in, data, BULK_BYTES);
		if (!err)
			err = same(data, BULK_BYTES, 0);
	}
	return err ? err : carry(peer->out, &answer, 1);
}

static int exchange(struct check_report *report, const struct peer *peer, bool first)
{
	double us = 0, byte_ps = 0;
	uint8_t *data = malloc(BULK_BYTES);

	if (!data)
		return -ENOMEM;
	pattern(data, BULK_BYTES, 0);
	int err = pings(peer, first, &us);
	if (!err)
		err = first ? send_all(peer, data, &byte_ps) : receive_all(peer, data);
	if (!err) {
		pattern(data, BULK_BYTES, 0);
		err = first ? receive_all(peer, data) : send_all(peer, data, &byte_ps);
	}
	free(data);
	if (!err)
		check_say(report, CHECK_OK, "connection", NULL,
			"data went both ways and arrived as it was: 8 bytes in %.0f us, %.2f "
			"Gbit/s "
			"from here",
			us, byte_ps * 8e-9);
	return err;
}

/* --- to meet --- */

static void failed(struct check_report *report, int err, const char *what)
{
	const char *warning = check_net_warning();

	check_say(report, CHECK_FAIL, "connection",
		"see that both hosts can reach each other on the interfaces named under 'device', "
		"on "
		"any TCP port (LINA_IFNAME, firewalls), and run the same release",
		"%s: %s%s%s", what, err == -EIO ? "the plugin failed" : strerror(-err),
		warning[0] ? ": " : "", warning);
}

static void handle_print(
	const uint8_t handle[LINA_HANDLE_BYTES], char text[CHECK_HANDLE_TEXT_BYTES])
{
	int used = LINA_HANDLE_BYTES;

	while (used > 1 && handle[used - 1] == 0)
		used--;
	for (int i = 0; i < used; i++)
		(void)snprintf(text + (size_t)i * 2, 3, "%02x", handle[i]);
}

static int digit(char c)
{
	const char *digits = "0123456789abcdef", *at = c ? strchr(digits, c) : NULL;

	return at ? (int)(at - digits) : -EINVAL;
}

static int handle_read(const char *text, uint8_t handle[LINA_HANDLE_BYTES])
{
	size_t len = strlen(text);

	if (len == 0 || len % 2 || len > (size_t)2 * LINA_HANDLE_BYTES)
		return -EINVAL;
	memset(handle, 0, LINA_HANDLE_BYTES);
	for (size_t i = 0; i < len / 2; i++) {
		int high = digit(text[2 * i]), low = digit(text[2 * i + 1]);
		if (high < 0 || low < 0)
			return -EINVAL;
		handle[i] = (uint8_t)(high << 4 | low);
	}
	return 0;
}

static void peer_close(struct peer *peer)
{
	check_wire_close(peer->out);
	check_wire_close(peer->in);
}

int check_peer_listen(struct check_report *report, struct check_net *net, int dev, int timeout_ms)
{
	char text[CHECK_HANDLE_TEXT_BYTES];
	uint8_t handle[LINA_HANDLE_BYTES];
	struct peer peer = { 0 };

	int err = check_net_listen(net, dev, handle);
	if (!err) {
		handle_print(handle, text);
		(void)printf("on the other host: lina-check --connect %s\n", text);
		(void)fflush(stdout);
		err = check_net_accept(net, timeout_ms, &peer.in);
	}
	/* The first message is the other side's own handle. */
	if (!err)
		err = carry(peer.in, handle, sizeof(handle));
	if (!err)
		err = check_net_connect(net, dev, handle, timeout_ms, &peer.out);
	if (!err)
		err = exchange(report, &peer, false);
	if (err)
		failed(report, err, "waiting for the other host");
	peer_close(&peer);
	return err;
}

int check_peer_connect(struct check_report *report, struct check_net *net, int dev,
	const char *text, int timeout_ms)
{
	uint8_t handle[LINA_HANDLE_BYTES];
	struct peer peer = { 0 };

	int err = handle_read(text, handle);
	if (err) {
		check_say(report, CHECK_FAIL, "connection",
			"copy the whole line that lina-check --listen printed",
			"'%s' is not a handle: an even number of hexadecimal digits, at most %d",
			text, 2 * LINA_HANDLE_BYTES);
		return err;
	}
	err = check_net_connect(net, dev, handle, timeout_ms, &peer.out);
	if (!err)
		err = check_net_listen(net, dev, handle);
	if (!err)
		err = carry(peer.out, handle, sizeof(handle));
	if (!err)
		err = check_net_accept(net, timeout_ms, &peer.in);
	if (!err)
		err = exchange(report, &peer, true);
	if (err)
		failed(report, err, "connecting to the other host");
	peer_close(&peer);
	return err;
}
