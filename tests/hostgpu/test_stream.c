/* Streams, events and copies of the CUDA runtime on the CPU. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cuda_runtime.h>

/* Work that ends when the test says so. */
struct gate {
	pthread_mutex_t lock;
	pthread_cond_t opened;
	bool open;
	int passed;
};

static void gate_pass(void *arg)
{
	struct gate *gate = arg;
	pthread_mutex_lock(&gate->lock);
	while (!gate->open)
		pthread_cond_wait(&gate->opened, &gate->lock);
	gate->passed++;
	pthread_mutex_unlock(&gate->lock);
}

static void gate_open(struct gate *gate)
{
	pthread_mutex_lock(&gate->lock);
	gate->open = true;
	pthread_cond_broadcast(&gate->opened);
	pthread_mutex_unlock(&gate->lock);
}

#define GATE                                                                  \
	{                                                                     \
		PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false, 0 \
	}

struct trace {
	int count;
	char text[32];
};

static struct trace trace; /* written by one stream at a time, read when it is synchronized */

static void note_a(void *arg)
{
	(void)arg;
	trace.text[trace.count++] = 'a';
}

static void note_b(void *arg)
{
	(void)arg;
	trace.text[trace.count++] = 'b';
}

static void nothing(void *arg)
{
	(void)arg;
}

static cudaStream_t stream_new(unsigned int flags)
{
	cudaStream_t stream = NULL;
	assert_int_equal(cudaStreamCreateWithFlags(&stream, flags), cudaSuccess);
	return stream;
}

static cudaEvent_t event_new(unsigned int flags)
{
	cudaEvent_t event = NULL;
	assert_int_equal(cudaEventCreateWithFlags(&event, flags), cudaSuccess);
	return event;
}

static int setup(void **state)
{
	(void)state;
	memset(&trace, 0, sizeof trace);
	cudaGetLastError();
	return 0;
}

static void a_stream_keeps_its_order(void **state)
{
	(void)state;
	cudaStream_t stream = stream_new(cudaStreamNonBlocking);
	for (int i = 0; i < 10; i++)
		assert_int_equal(
			cudaLaunchHostFunc(stream, i % 2 ? note_b : note_a, NULL), cudaSuccess);
	assert_int_equal(cudaStreamSynchronize(stream), cudaSuccess);
	assert_string_equal(trace.text, "ababababab");
	assert_int_equal(cudaStreamDestroy(stream), cudaSuccess);
}

static void a_busy_stream_says_so(void **state)
{
	(void)state;
	struct gate gate = GATE;
	cudaStream_t busy = stream_new(cudaStreamNonBlocking),
		     idle = stream_new(cudaStreamNonBlocking);
	cudaLaunchHostFunc(busy, gate_pass, &gate);
	assert_int_equal(cudaStreamQuery(busy), cudaErrorNotReady);
	assert_int_equal(cudaStreamQuery(idle), cudaSuccess);
	gate_open(&gate);
	cudaStreamSynchronize(busy);
	assert_int_equal(cudaStreamQuery(busy), cudaSuccess);
	cudaStreamDestroy(busy);
	cudaStreamDestroy(idle);
}

static void an_event_orders_two_streams(void **state)
{
	(void)state;
	struct gate gate = GATE;
	cudaStream_t first = stream_new(cudaStreamNonBlocking),
		     second = stream_new(cudaStreamNonBlocking);
	cudaEvent_t event = event_new(cudaEventDisableTiming);
	cudaLaunchHostFunc(first, gate_pass, &gate);
	cudaLaunchHostFunc(first, note_a, NULL);
	cudaEventRecord(event, first);
	cudaStreamWaitEvent(second, event, 0);
	cudaLaunchHostFunc(second, note_b, NULL);
	assert_int_equal(cudaEventQuery(event), cudaErrorNotReady);
	assert_int_equal(cudaStreamQuery(second), cudaErrorNotReady);
	assert_int_equal(cudaEventDestroy(event), cudaSuccess); /* queued work still knows it */
	gate_open(&gate);
	cudaStreamSynchronize(second);
	assert_string_equal(trace.text, "ab");
	cudaStreamDestroy(first);
	cudaStreamDestroy(second);
}

static void a_wait_is_for_the_record_before_it(void **state)
{
	(void)state;
	struct gate gate = GATE;
	cudaStream_t first = stream_new(cudaStreamNonBlocking),
		     second = stream_new(cudaStreamNonBlocking);
	cudaEvent_t event = event_new(cudaEventDisableTiming);
	assert_int_equal(cudaEventQuery(event), cudaSuccess); /* never recorded */
	cudaStreamWaitEvent(second, event, 0);
	cudaEventRecord(event, first);
	cudaStreamWaitEvent(second, event, 0);
	cudaLaunchHostFunc(first, gate_pass, &gate);
	cudaEventRecord(event, first);
	cudaStreamSynchronize(second); /* waits for the first record, not for the gate */
	assert_int_equal(cudaEventQuery(event), cudaErrorNotReady);
	gate_open(&gate);
	assert_int_equal(cudaEventSynchronize(event), cudaSuccess);
	assert_int_equal(gate.passed, 1);
	cudaEventDestroy(event);
	cudaStreamDestroy(first);
	cudaStreamDestroy(second);
}

static void a_record_on_another_stream_ends_no_earlier_wait(void **state)
{
	(void)state;
	struct gate gate = GATE;
	cudaStream_t first = stream_new(cudaStreamNonBlocking),
		     second = stream_new(cudaStreamNonBlocking),
		     third = stream_new(cudaStreamNonBlocking);
	cudaEvent_t event = event_new(cudaEventDisableTiming);
	cudaLaunchHostFunc(first, gate_pass, &gate);
	cudaLaunchHostFunc(first, note_a, NULL);
	cudaEventRecord(event, first);
	cudaStreamWaitEvent(second, event, 0);
	cudaLaunchHostFunc(second, note_b, NULL);
	cudaEventRecord(event, third); /* at once, while the first record still waits */
	assert_int_equal(cudaEventSynchronize(event), cudaSuccess);
	assert_int_equal(cudaStreamQuery(second), cudaErrorNotReady);
	gate_open(&gate);
	cudaStreamSynchronize(second);
	assert_string_equal(trace.text, "ab");
	assert_int_equal(cudaEventQuery(event), cudaSuccess);
	cudaEventDestroy(event);
	cudaStreamDestroy(first);
	cudaStreamDestroy(second);
	cudaStreamDestroy(third);
}

static void the_legacy_stream_waits_for_blocking_streams_only(void **state)
{
	(void)state;
	struct gate blocking_gate = GATE, free_gate = GATE;
	cudaStream_t blocking = stream_new(cudaStreamDefault),
		     free = stream_new(cudaStreamNonBlocking);
	cudaLaunchHostFunc(free, gate_pass, &free_gate);
	cudaLaunchHostFunc(blocking, gate_pass, &blocking_gate);
	cudaLaunchHostFunc(blocking, note_a, NULL);
	cudaLaunchHostFunc(NULL, note_b, NULL);
	cudaLaunchHostFunc(blocking, note_a, NULL); /* waits for the legacy stream */
	assert_int_equal(cudaStreamQuery(NULL), cudaErrorNotReady);
	gate_open(&blocking_gate);
	assert_int_equal(cudaStreamSynchronize(NULL), cudaSuccess);
	assert_string_equal(trace.text, "aba");
	assert_int_equal(cudaStreamQuery(free), cudaErrorNotReady);
	gate_open(&free_gate);
	cudaStreamSynchronize(free);
	cudaStreamDestroy(blocking);
	cudaStreamDestroy(free);
}

static void a_destroyed_stream_finishes_its_work(void **state)
{
	(void)state;
	struct gate gate = GATE;
	cudaEvent_t event = event_new(cudaEventDisableTiming);
	cudaStream_t stream = stream_new(cudaStreamDefault);
	cudaLaunchHostFunc(stream, gate_pass, &gate);
	cudaEventRecord(event, stream);
	assert_int_equal(cudaStreamDestroy(stream), cudaSuccess);
	gate_open(&gate);
	cudaEventSynchronize(event);
	assert_int_equal(gate.passed, 1);
	cudaEventDestroy(event);
}

static void the_device_waits_for_every_stream(void **state)
{
	(void)state;
	struct gate gate = GATE;
	cudaStream_t streams[3];
	for (int i = 0; i < 3; i++) {
		streams[i] = stream_new(i ? cudaStreamNonBlocking : cudaStreamDefault);
		cudaLaunchHostFunc(streams[i], gate_pass, &gate);
	}
	gate_open(&gate);
	assert_int_equal(cudaDeviceSynchronize(), cudaSuccess);
	assert_int_equal(gate.passed, 3);
	for (int i = 0; i < 3; i++)
		cudaStreamDestroy(streams[i]);
}

static void events_measure_time(void **state)
{
	(void)state;
	float ms = -1;
	cudaEvent_t start = event_new(cudaEventDefault), end = event_new(cudaEventDefault);
	cudaEvent_t untimed = event_new(cudaEventDisableTiming);
	assert_int_equal(cudaEventElapsedTime(&ms, start, end), cudaErrorInvalidResourceHandle);
	cudaEventRecord(start, NULL);
	cudaEventRecord(untimed, NULL);
	cudaEventRecord(end, NULL);
	cudaEventSynchronize(end);
	assert_int_equal(cudaEventElapsedTime(&ms, start, end), cudaSuccess);
	assert_true(ms >= 0);
	assert_int_equal(cudaEventElapsedTime(&ms, start, untimed), cudaErrorInvalidResourceHandle);
	assert_int_equal(cudaGetLastError(), cudaErrorInvalidResourceHandle);
	assert_int_equal(cudaGetLastError(), cudaSuccess);
	cudaEventDestroy(start);
	cudaEventDestroy(end);
	cudaEventDestroy(untimed);
}

static void copies_take_pageable_bytes_at_the_call(void **state)
{
	(void)state;
	struct gate gate = GATE;
	char host[64], back[64] = { 0 }, *device = NULL;
	cudaStream_t stream = stream_new(cudaStreamNonBlocking);
	assert_int_equal(cudaMalloc((void **)&device, sizeof host), cudaSuccess);
	memset(host, 7, sizeof host);
	cudaLaunchHostFunc(stream, gate_pass, &gate);
	assert_int_equal(cudaMemcpyAsync(device, host, sizeof host, cudaMemcpyHostToDevice, stream),
		cudaSuccess);
	memset(host, 9, sizeof host);
	assert_int_equal(cudaMemsetAsync(device + 32, 5, 32, stream), cudaSuccess);
	gate_open(&gate);
	assert_int_equal(cudaMemcpyAsync(back, device, sizeof host, cudaMemcpyDeviceToHost, stream),
		cudaSuccess);
	for (size_t i = 0; i < sizeof back; i++)
		assert_int_equal(back[i], i < 32 ? 7 : 5);
	cudaFree(device);
	cudaStreamDestroy(stream);
}

static void a_freed_buffer_serves_the_work_before(void **state)
{
	(void)state;
	struct gate gate = GATE;
	char *device = NULL, *pinned = NULL;
	cudaStream_t stream = stream_new(cudaStreamNonBlocking);
	cudaMalloc((void **)&device, 1 << 20);
	cudaMallocHost((void **)&pinned, 1 << 20);
	cudaLaunchHostFunc(stream, gate_pass, &gate);
	cudaMemsetAsync(device, 3, 1 << 20, stream);
	cudaMemcpyAsync(pinned, device, 1 << 20, cudaMemcpyDeviceToHost, stream);
	assert_int_equal(cudaFree(device), cudaSuccess);
	assert_int_equal(cudaFree(device), cudaErrorInvalidValue); /* twice */
	gate_open(&gate);
	cudaStreamSynchronize(stream);
	assert_int_equal(pinned[(1 << 20) - 1], 3);
	cudaFreeHost(pinned);
	cudaStreamDestroy(stream);
}

static int threads(void)
{
	int n = 0;
	DIR *dir = opendir("/proc/self/task");
	while (dir && readdir(dir))
		n++;
	if (dir)
		closedir(dir);
	return n;
}

static void streams_leave_no_thread(void **state)
{
	(void)state;
	int before = threads();
	for (int i = 0; i < 200; i++) {
		cudaStream_t stream = stream_new(i % 2 ? cudaStreamNonBlocking : cudaStreamDefault);
		cudaLaunchHostFunc(stream, nothing, NULL);
		if (i % 3)
			cudaStreamSynchronize(stream);
		else
			cudaDeviceSynchronize();
		cudaStreamDestroy(stream);
	}
	for (int tries = 0; tries < 100 && threads() > before; tries++)
		usleep(10000);
	assert_in_range(threads(), 1, before);
}

static void *hammer(void *arg)
{
	char *device = NULL, value = 0;
	cudaMalloc((void **)&device, 4096);
	for (int i = 0; i < 200; i++) {
		cudaStream_t stream = NULL;
		cudaEvent_t event = NULL;
		cudaStreamCreate(&stream);
		cudaEventCreate(&event);
		cudaMemsetAsync(device, i, 4096, stream);
		cudaEventRecord(event, stream);
		cudaStreamWaitEvent(NULL, event, 0);
		cudaStreamDestroy(stream);
		cudaMemcpy(&value, device + i, 1, cudaMemcpyDeviceToHost);
		cudaEventDestroy(event);
		if (value != (char)i)
			*(int *)arg = i + 1;
	}
	cudaFree(device);
	return NULL;
}

static void threads_share_the_device(void **state)
{
	(void)state;
	pthread_t ids[4];
	int wrong[4] = { 0 };
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&ids[i], NULL, hammer, &wrong[i]), 0);
	for (int i = 0; i < 4; i++) {
		pthread_join(ids[i], NULL);
		assert_int_equal(wrong[i], 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(a_stream_keeps_its_order, setup),
		cmocka_unit_test_setup(a_busy_stream_says_so, setup),
		cmocka_unit_test_setup(an_event_orders_two_streams, setup),
		cmocka_unit_test_setup(a_wait_is_for_the_record_before_it, setup),
		cmocka_unit_test_setup(a_record_on_another_stream_ends_no_earlier_wait, setup),
		cmocka_unit_test_setup(the_legacy_stream_waits_for_blocking_streams_only, setup),
		cmocka_unit_test_setup(a_destroyed_stream_finishes_its_work, setup),
		cmocka_unit_test_setup(the_device_waits_for_every_stream, setup),
		cmocka_unit_test_setup(events_measure_time, setup),
		cmocka_unit_test_setup(copies_take_pageable_bytes_at_the_call, setup),
		cmocka_unit_test_setup(a_freed_buffer_serves_the_work_before, setup),
		cmocka_unit_test_setup(streams_leave_no_thread, setup),
		cmocka_unit_test_setup(threads_share_the_device, setup),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
