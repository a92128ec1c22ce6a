#include "fault/hot.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "plugin/wire.h"
#include "priority/class.h"

enum { TAG = 5 };

struct pair peer[NPEERS];
static uint8_t *from[NPEERS], *to[NPEERS];
static const size_t size[NPEERS] = { HOT_BYTES, COLD_BYTES };

/* --- connections --- */

/* As if another process listened, which is a device of the table. */
static void disguise(void *handle, uint64_t who)
{
	struct lina_wire_handle wire;

	MUST(lina_handle_decode(handle, &wire));
	wire.who = who;
	wire.device = (int32_t)who;
	lina_handle_encode(&wire, handle);
}

static void peer_connect(struct lina_net *net, int i)
{
	uint8_t handle[LINA_HANDLE_BYTES];
	struct lina_listener *listener;

	peer[i] = (struct pair){ .net = net };
	MUST(lina_net_listen(net, 0, handle, &listener));
	disguise(handle, (uint64_t)i);
	while (!peer[i].send || !peer[i].recv) {
		if (!peer[i].send)
			MUST(lina_net_connect(
				net, 0, LINA_TRAFFIC_CLASS_UNSET, handle, &peer[i].send));
		if (!peer[i].recv)
			MUST(lina_net_accept(listener, &peer[i].recv));
	}
	below_join(&peer[i]);
	MUST(lina_net_close_listen(listener));
}

void peers_open(const char *settings)
{
	const struct lina_net_attr attr = { .op = UINT32_C(1) << LINA_OP_ALLTOALL };
	struct lina_net *net;

	below_open();
	log_forget();
	MUST(net_open(settings, &net));
	MUST(lina_net_attr_set(net, &attr));
	for (int i = 0; i < NPEERS; i++) {
		peer_connect(net, i);
		from[i] = bytes_new(size[i]);
		to[i] = bytes_new(size[i]);
	}
}

void peers_close(void)
{
	for (int i = 0; i < NPEERS; i++) {
		MUST(lina_net_close_send(peer[i].send));
		MUST(lina_net_close_recv(peer[i].recv));
		free(from[i]);
		free(to[i]);
	}
	MUST(lina_net_close(peer[0].net));
}

/* --- messages --- */

void transfer_expect(struct transfer *t, int i, int n)
{
	size_t bytes = size[i] / (size_t)n;

	fill(from[i], size[i], (uint64_t)i + 1);
	memset(to[i], 0, size[i]);
	t->n = n;
	for (int k = 0; k < n; k++)
		t->recv[k] = post_recv(peer[i].recv, to[i] + (size_t)k * bytes, bytes, TAG);
}

void transfer_begin(struct transfer *t, int i)
{
	size_t bytes = size[i] / (size_t)t->n;

	for (int k = 0; k < t->n; k++)
		t->send[k] = post_send(peer[i].send, from[i] + (size_t)k * bytes, bytes, TAG);
}

void transfer_finish(struct transfer *t, int i)
{
	for (int k = 0; k < t->n; k++)
		MUST(finish_both(t->send[k], t->recv[k], LIMIT_MS));
	assert_true(is_filled(to[i], size[i], (uint64_t)i + 1));
}

void exchanges(int n)
{
	struct transfer t[NPEERS];

	for (; n > 0; n--) {
		for (int i = 0; i < NPEERS; i++)
			transfer_expect(&t[i], i, NMESSAGES);
		below_stop();
		for (int i = 0; i < NPEERS; i++)
			transfer_begin(&t[i], i);
		below_go();
		for (int i = 0; i < NPEERS; i++)
			transfer_finish(&t[i], i);
		sleep_ms(GAP_MS);
	}
}

/* --- the table --- */

const char *const hot_settings = "LINA_EARLY_BYTES=0 ";
const char *const hot_table = "lina-placement 1\nlayers 1\nexperts 2\ndevices 2\n"
			      "devices-per-node 1\nslots-per-device 4\ngeneration 1\n"
			      "layer 0\ndevice 0: 0 0 0 0\ndevice 1: 1 - - -\nend\n";

static char path[] = "/tmp/lina-test-XXXXXX";

const char *table_path(void)
{
	return path;
}

const char *with_table(const char *text)
{
	static char settings[128];
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
	(void)snprintf(settings, sizeof(settings), "%sLINA_PLACEMENT=%s ", hot_settings, path);
	return settings;
}

int table_make(void **state)
{
	(void)state;
	int fd = mkstemp(path);
	return fd < 0 ? -1 : close(fd);
}

int table_remove(void **state)
{
	(void)state;
	return unlink(path);
}
