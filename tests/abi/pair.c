#include "abi/pair.h"

#include <dirent.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* --- time --- */

void pair_clock(bool restart)
{
	static time_t start_s;
	struct timespec now;

	assert_int_equal(clock_gettime(CLOCK_MONOTONIC, &now), 0);
	if (restart)
		start_s = now.tv_sec;
	else if (now.tv_sec - start_s > PAIR_SECONDS)
		fail_msg("nothing has come for %d seconds", PAIR_SECONDS);
}

/* --- ends --- */

void end_open(struct end *end_p, int version)
{
	int ndev = 0;

	memset(end_p, 0, sizeof(*end_p));
	assert_int_equal(drive_open(&end_p->drive, PLUGIN, version), 0);
	assert_int_equal(drive_init(&end_p->drive, &end_p->ctx, 77, NULL, NULL, NULL), ncclSuccess);
	assert_int_equal(drive_devices(&end_p->drive, &ndev), ncclSuccess);
	assert_true(ndev > 0);
}

void end_close(struct end *end)
{
	if (drive_has_context(&end->drive))
		assert_int_equal(drive_finalize(&end->drive, end->ctx), ncclSuccess);
	drive_close(&end->drive);
}

/* --- pairs --- */

void pair_open(struct pair *pair_p, struct end *sender, struct end *receiver)
{
	unsigned char handle[NCCL_NET_HANDLE_MAXSIZE];
	struct pair *p = pair_p;

	*p = (struct pair){ .sender = sender, .receiver = receiver };
	assert_int_equal(
		drive_listen(&receiver->drive, receiver->ctx, receiver->dev, handle, &p->listener),
		ncclSuccess);
	assert_non_null(p->listener);
	pair_clock(true);
	while (p->send_conn == NULL || p->recv_conn == NULL) {
		if (p->send_conn == NULL)
			assert_int_equal(drive_connect(&sender->drive, sender->ctx, sender->dev,
						 NULL, handle, &p->send_conn, NULL),
				ncclSuccess);
		if (p->recv_conn == NULL)
			assert_int_equal(
				drive_accept(&receiver->drive, p->listener, &p->recv_conn, NULL),
				ncclSuccess);
		pair_clock(false);
	}
}

void pair_close_listener(struct pair *pair)
{
	assert_int_equal(drive_close_listen(&pair->receiver->drive, pair->listener), ncclSuccess);
	pair->listener = NULL;
}

void pair_close_sender(struct pair *pair)
{
	assert_int_equal(drive_close_send(&pair->sender->drive, pair->send_conn), ncclSuccess);
	pair->send_conn = NULL;
}

void pair_close_receiver(struct pair *pair)
{
	assert_int_equal(drive_close_recv(&pair->receiver->drive, pair->recv_conn), ncclSuccess);
	pair->recv_conn = NULL;
}

void pair_close(struct pair *pair)
{
	if (pair->send_conn != NULL)
		pair_close_sender(pair);
	if (pair->recv_conn != NULL)
		pair_close_receiver(pair);
	if (pair->listener != NULL)
		pair_close_listener(pair);
}

/* --- buffers --- */

struct buffer buffer_make(const struct end *end, void *conn, size_t bytes)
{
	struct buffer buffer = { .data = calloc(1, bytes + 1), .bytes = bytes };

	assert_non_null(buffer.data);
	assert_int_equal(
		drive_reg(&end->drive, conn, buffer.data, bytes + 1, NCCL_PTR_HOST, &buffer.mr),
		ncclSuccess);
	return buffer;
}

void buffer_free(const struct end *end, void *conn, struct buffer *buffer)
{
	assert_int_equal(drive_dereg(&end->drive, conn, buffer->mr), ncclSuccess);
	free(buffer->data);
}

static unsigned char byte_of(unsigned seed, size_t at)
{
	return (unsigned char)((size_t)seed * 37 + at * 11 + (at >> 8) * 5 + 1);
}

void buffer_fill(struct buffer *buffer, unsigned seed)
{
	for (size_t i = 0; i < buffer->bytes; i++)
		buffer->data[i] = byte_of(seed, i);
}

void buffer_check(const struct buffer *buffer, unsigned seed, size_t bytes)
{
	for (size_t i = 0; i < buffer->bytes; i++) {
		unsigned char expected = i < bytes ? byte_of(seed, i) : 0;

		if (buffer->data[i] != expected)
			fail_msg("byte %zu of %zu is %#x, not %#x", i, buffer->bytes,
				buffer->data[i], expected);
	}
}

/* --- transfers --- */

void *pair_send(struct pair *pair, const struct buffer *from, int tag)
{
	void *request = NULL;

	pair_clock(true);
	while (request == NULL) {
		assert_int_equal(drive_send(&pair->sender->drive, pair->send_conn, from->data,
					 from->bytes, tag, from->mr, NULL, &request),
			ncclSuccess);
		pair_clock(false);
	}
	return request;
}

void *pair_recv(struct pair *pair, int n, const struct buffer *to, int *tags)
{
	void *data[LINA_RECVS_MAX], *mrs[LINA_RECVS_MAX], *request = NULL;
	size_t bytes[LINA_RECVS_MAX];

	for (int i = 0; i < n; i++) {
		data[i] = to[i].data;
		mrs[i] = to[i].mr;
		bytes[i] = to[i].bytes;
	}
	pair_clock(true);
	while (request == NULL) {
		assert_int_equal(drive_recv(&pair->receiver->drive, pair->recv_conn, n, data, bytes,
					 tags, mrs, NULL, &request),
			ncclSuccess);
		pair_clock(false);
	}
	return request;
}

static void step(const struct end *end, void **request, int *bytes_p)
{
	int done = 0;

	if (*request == NULL)
		return;
	assert_int_equal(drive_test(&end->drive, *request, &done, bytes_p), ncclSuccess);
	if (done)
		*request = NULL;
}

void pair_finish(
	struct pair *pair, void *send_request, void *recv_request, int *sent_p, int *received_p)
{
	pair_clock(true);
	while (send_request != NULL || recv_request != NULL) {
		step(pair->sender, &send_request, sent_p);
		step(pair->receiver, &recv_request, received_p);
		pair_clock(false);
	}
}

/* --- what the process has --- */

static int count_entries(const char *path)
{
	DIR *dir = opendir(path);
	int n = 0;

	assert_non_null(dir);
	while (readdir(dir) != NULL)
		n++;
	(void)closedir(dir);
	return n;
}

static void *nothing(void *arg)
{
	return arg;
}

/* The thread sanitizer has one of its own from the first on that a program makes. */
static void first_thread(void)
{
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, nothing, NULL), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
}

struct census census_take(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	(void)pthread_once(&once, first_thread);
	return (struct census){ .nfds = count_entries("/proc/self/fd"),
		.nthreads = count_entries("/proc/self/task") };
}
