/*
 * The plugin alone, without NCCL: how long 8 bytes take from one host to another, and what passes
 * in messages of 1 MiB. Two ranks of lina-launch, on the plugin's first device.
 * Usage: bench_wire PLUGIN [PINGS [MESSAGES]]
 * Rank 0 prints lines 'latency US P10 P90' (half a round trip) and 'bandwidth MBPS' (of data).
 */
#include "perf/die.h"
#include "perf/stats.h"
#include "plugin/nccl_abi/drive.h"

#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
	ABI = 11,
	DEPTH = 8, /* messages under way, as many as NCCL has */
	PING_BYTES = 8,
	MESSAGE_BYTES = 1 << 20,
	WARM_PINGS = 100,
	WARM_MESSAGES = 8,
	POLL_US = 1000,
	STALLED_S = 30,
	TAG = 1,
};

struct wire {
	struct drive drive;
	void *ctx, *listener, *out, *in;
	char *from, *to; /* DEPTH messages each */
	void *from_mr, *to_mr;
	void *received[DEPTH]; /* requests, in the order in which they were posted */
	unsigned posted, taken;
	void *sending; /* the request of a send that nobody waits for yet */
	int rank;
};

static double now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec * 1e-3;
}

static void must(ncclResult_t result, const char *what)
{
	if (result != ncclSuccess)
		die("%s: NCCL's error %d", what, (int)result);
}

/* ---- to meet: the handles are files of the folder that both ranks see ------------------------ */

static void path_of(int rank, const char *suffix, char path[PATH_MAX])
{
	const char *dir = getenv("LINA_RENDEZVOUS");

	if (dir == NULL)
		die("LINA_RENDEZVOUS is not set: start this program with lina-launch");
	(void)snprintf(path, PATH_MAX, "%s/wire.%d%s", dir, rank, suffix);
}

static void handle_publish(int rank, const void *handle)
{
	char path[PATH_MAX], part[PATH_MAX];

	path_of(rank, "", path);
	path_of(rank, ".part", part);
	FILE *file = fopen(part, "wb");
	if (file == NULL || fwrite(handle, NCCL_NET_HANDLE_MAXSIZE, 1, file) != 1 ||
		fclose(file) != 0 || rename(part, path) != 0)
		die("cannot write %s: %s", path, strerror(errno));
}

static void handle_await(int rank, void *handle)
{
	double until_us = now_us() + STALLED_S * 1e6;
	char path[PATH_MAX];
	FILE *file;

	path_of(rank, "", path);
	while ((file = fopen(path, "rb")) == NULL) {
		if (now_us() > until_us)
			die("no other rank after %d s", STALLED_S);
		usleep(POLL_US);
	}
	if (fread(handle, NCCL_NET_HANDLE_MAXSIZE, 1, file) != 1)
		die("%s is too short", path);
	(void)fclose(file);
}

static void *memory(struct wire *w, void *conn, void **mr_p)
{
	void *data = calloc(DEPTH, MESSAGE_BYTES);

	if (data == NULL)
		die("no memory");
	must(drive_reg(&w->drive, conn, data, (size_t)DEPTH * MESSAGE_BYTES, NCCL_PTR_HOST, mr_p),
		"regMr");
	return data;
}

static void wire_open(struct wire *w, const char *plugin)
{
	unsigned char own[NCCL_NET_HANDLE_MAXSIZE] = { 0 }, other[NCCL_NET_HANDLE_MAXSIZE];
	double until_us = now_us() + STALLED_S * 1e6;
	int ndev = 0;

	if (drive_open(&w->drive, plugin, ABI) != 0)
		die("%s cannot be loaded", plugin);
	must(drive_init(&w->drive, &w->ctx, 1, NULL, NULL, NULL), "init");
	must(drive_devices(&w->drive, &ndev), "devices");
	must(drive_listen(&w->drive, w->ctx, 0, own, &w->listener), "listen");
	handle_publish(w->rank, own);
	handle_await(1 - w->rank, other);
	while (w->out == NULL || w->in == NULL) {
		if (w->out == NULL)
			must(drive_connect(&w->drive, w->ctx, 0, NULL, other, &w->out, NULL),
				"connect");
		if (w->in == NULL)
			must(drive_accept(&w->drive, w->listener, &w->in, NULL), "accept");
		if (now_us() > until_us)
			die("no connection after %d s", STALLED_S);
	}
	w->from = memory(w, w->out, &w->from_mr);
	w->to = memory(w, w->in, &w->to_mr);
}

static void wire_close(struct wire *w)
{
	must(drive_dereg(&w->drive, w->out, w->from_mr), "deregMr");
	must(drive_dereg(&w->drive, w->in, w->to_mr), "deregMr");
	must(drive_close_send(&w->drive, w->out), "closeSend");
	must(drive_close_recv(&w->drive, w->in), "closeRecv");
	must(drive_close_listen(&w->drive, w->listener), "closeListen");
	must(drive_finalize(&w->drive, w->ctx), "finalize");
	drive_close(&w->drive);
	free(w->from);
	free(w->to);
}

/* ---- transfers ------------------------------------------------------------------------------- */

/* Asks once; returns NULL where there is no room. */
static void *send_post(struct wire *w, unsigned i, size_t bytes)
{
	void *request = NULL;

	must(drive_send(&w->drive, w->out, w->from + (size_t)(i % DEPTH) * MESSAGE_BYTES, bytes,
		     TAG, w->from_mr, NULL, &request),
		"isend");
	return request;
}

static bool is_done(struct wire *w, void *request)
{
	int done = 0;

	must(drive_test(&w->drive, request, &done, NULL), "test");
	return done;
}

/* Receives are posted ahead of what comes, up to DEPTH. */
static void recvs_post(struct wire *w, size_t bytes)
{
	while (w->posted - w->taken < DEPTH) {
		unsigned i = w->posted % DEPTH;
		void *data = w->to + (size_t)i * MESSAGE_BYTES, *request = NULL;
		int tag = TAG;

		must(drive_recv(
			     &w->drive, w->in, 1, &data, &bytes, &tag, &w->to_mr, NULL, &request),
			"irecv");
		if (request == NULL)
			return;
		w->received[i] = request;
		w->posted++;
	}
}

static void send_step(struct wire *w)
{
	if (w->sending != NULL && is_done(w, w->sending))
		w->sending = NULL;
}

/* Both directions move on while one is waited for, and others may run, as in NCCL's threads. */
static void wait_recv(struct wire *w)
{
	while (w->posted == w->taken || !is_done(w, w->received[w->taken % DEPTH])) {
		send_step(w);
		recvs_post(w, MESSAGE_BYTES);
		(void)sched_yield();
	}
	w->taken++;
}

static void send_start(struct wire *w, size_t bytes)
{
	while ((w->sending = send_post(w, 0, bytes)) == NULL)
		;
}

static void send_end(struct wire *w)
{
	while (w->sending != NULL) {
		send_step(w);
		if (w->sending != NULL)
			(void)sched_yield();
	}
}

/* All receives have room for a large message, so that one serves whatever comes. At both ends the
 * one that was used is posted anew behind the next send, as the others are there for what comes. */
static void ping(struct wire *w, bool first)
{
	if (!first)
		wait_recv(w);
	send_start(w, PING_BYTES);
	recvs_post(w, MESSAGE_BYTES);
	if (first)
		wait_recv(w);
	send_end(w);
}

static void pings(struct wire *w, unsigned n)
{
	double *half_us = calloc(n, sizeof(*half_us));

	if (half_us == NULL)
		die("no memory for %u samples", n);
	double begin_us = now_us();
	for (unsigned i = 0; i < n + WARM_PINGS; i++) {
		ping(w, w->rank == 0);
		double end_us = now_us();
		if (i >= WARM_PINGS)
			half_us[i - WARM_PINGS] = (end_us - begin_us) / 2;
		begin_us = end_us;
	}
	stats_sort(half_us, n);
	if (w->rank == 0)
		printf("latency %.1f %.1f %.1f\n", stats_quantile(half_us, n, 0.5),
			stats_quantile(half_us, n, 0.1), stats_quantile(half_us, n, 0.9));
	free(half_us);
}

static void send_all(struct wire *w, unsigned n)
{
	void *requests[DEPTH];
	unsigned sent = 0, done = 0;

	while (done < n) {
		while (sent < n && sent - done < DEPTH) {
			void *request = send_post(w, sent, MESSAGE_BYTES);
			if (request == NULL)
				break;
			requests[sent++ % DEPTH] = request;
		}
		if (sent > done && is_done(w, requests[done % DEPTH]))
			done++;
	}
}

static void recv_all(struct wire *w, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		wait_recv(w);
		recvs_post(w, MESSAGE_BYTES);
	}
}

/* From rank 0 to rank 1, whose answer says that all is there. */
static double stream_us(struct wire *w, unsigned n)
{
	double begin_us = now_us();

	if (w->rank == 0) {
		send_all(w, n);
		recv_all(w, 1);
	} else {
		recv_all(w, n);
		send_start(w, 1);
		send_end(w);
	}
	return now_us() - begin_us;
}

static void streams(struct wire *w, unsigned n)
{
	(void)stream_us(w, WARM_MESSAGES);
	double us = stream_us(w, n);

	if (w->rank == 0)
		printf("bandwidth %.1f\n", (double)n * MESSAGE_BYTES * 8 / us);
}

static unsigned number(const char *text)
{
	char *end;
	unsigned long value = strtoul(text, &end, 10);

	if (end == text || *end != '\0' || value < 1 || value > 1000000)
		die("'%s' is not a number from 1 to 1000000", text);
	return (unsigned)value;
}

int main(int argc, char **argv)
{
	const char *rank = getenv("LINA_RANK");
	struct wire wire = { 0 };

	if (argc < 2 || argc > 4 || rank == NULL)
		die("usage: lina-launch -n 2 -- bench_wire PLUGIN [PINGS [MESSAGES]]");
	wire.rank = strcmp(rank, "0") != 0;
	wire_open(&wire, argv[1]);
	recvs_post(&wire, MESSAGE_BYTES);
	pings(&wire, argc > 2 ? number(argv[2]) : 1000);
	streams(&wire, argc > 3 ? number(argv[3]) : 64);
	wire_close(&wire);
	return 0;
}
