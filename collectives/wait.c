#include "collectives/wait.h"

#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "collectives/error.h"
#include "collectives/lina.h"

static uint32_t limit_ms = LINA_WAIT_LIMIT_MS; /* atomic */

void lina_wait_limit_ms(uint32_t ms)
{
	__atomic_store_n(&limit_ms, ms, __ATOMIC_RELAXED);
}

uint32_t lina_wait_limit_now_ms(void)
{
	return __atomic_load_n(&limit_ms, __ATOMIC_RELAXED);
}

struct wait {
	const char *what; /* for the error */
	uint64_t began_ms;
	uint32_t limit_ms;
	long pause_ns;
};

static uint64_t now_ms(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static struct wait wait_begin(const char *what)
{
	return (struct wait){ what, now_ms(), lina_wait_limit_now_ms(), 0 };
}

/* First it only yields; who waits longer asks ever more rarely, and leaves the processor to those
 * that work. */
static void pause_a_little(long *pause_ns)
{
	enum { YIELDS_NS = 20000, MOST_NS = 200000 };

	if (*pause_ns < YIELDS_NS) {
		*pause_ns += 1000;
		(void)sched_yield();
		return;
	}
	const struct timespec t = { 0, *pause_ns };
	(void)nanosleep(&t, NULL);
	*pause_ns = *pause_ns * 5 / 4 < MOST_NS ? *pause_ns * 5 / 4 : MOST_NS;
}

static int wait_on(struct wait *wait)
{
	if (wait->limit_ms > 0 && now_ms() - wait->began_ms >= wait->limit_ms)
		return lina_fail(-ETIMEDOUT,
			"%s: not done within %" PRIu32 " ms: has a rank not come?", wait->what,
			wait->limit_ms);
	pause_a_little(&wait->pause_ns);
	return 0;
}

int lina_nccl_launched(ncclComm_t comm, ncclResult_t result, const char *what)
{
	struct wait wait = wait_begin(what);
	int err = 0;

	while (result == ncclInProgress && !err) {
		err = lina_nccl(ncclCommGetAsyncError(comm, &result), "ncclCommGetAsyncError");
		if (!err && result == ncclInProgress)
			err = wait_on(&wait);
	}
	return err ? err : lina_nccl(result, what);
}

static int ask_comm(ncclComm_t comm)
{
	ncclResult_t result = ncclSuccess;
	int err = comm == NULL ? 0
			       : lina_nccl(ncclCommGetAsyncError(comm, &result),
					 "ncclCommGetAsyncError");

	return err ? err : lina_nccl(result, "the communicator");
}

int lina_wait_event(ncclComm_t comm, cudaEvent_t event)
{
	struct wait wait = wait_begin("the stream");
	cudaError_t state;

	while ((state = cudaEventQuery(event)) == cudaErrorNotReady) {
		int err = ask_comm(comm);
		if (!err)
			err = wait_on(&wait);
		if (err)
			return err;
	}
	return lina_cuda(state, "cudaEventQuery");
}

/* Appends to text, which has room for so many; what has none is left out. */
static void append(char *text, size_t room, const char *before, int number, const char *after)
{
	size_t used = strlen(text);

	(void)snprintf(text + used, room - used, "%s%d%s", before, number, after);
}

void lina_name_absent(const void *row, size_t each, int nranks)
{
	enum { NAMED = 16 };
	char text[256] = "";
	int n = 0;

	for (int r = 0; r < nranks; r++) {
		const char *first = (const char *)row + (size_t)r * each;
		if (*(const volatile uint64_t *)(const void *)first != 0)
			continue;
		if (n++ < NAMED)
			append(text, sizeof(text), n > 1 ? ", " : "", r, "");
	}
	if (n > NAMED)
		append(text, sizeof(text), " and ", n - NAMED, " more");
	if (n > 0)
		(void)lina_fail(-ETIMEDOUT, "no word of rank%s %s within %" PRIu32 " ms",
			n > 1 ? "s" : "", text, lina_wait_limit_now_ms());
	else
		(void)lina_fail(-ETIMEDOUT,
			"no end of a call within %" PRIu32
			" ms, though all ranks came to its dispatch",
			lina_wait_limit_now_ms());
}

int lina_wait_stream(ncclComm_t comm, cudaStream_t stream)
{
	cudaEvent_t event;
	int err = lina_cuda(cudaEventCreateWithFlags(&event, cudaEventDisableTiming),
		"cudaEventCreateWithFlags");

	if (err)
		return err;
	err = lina_cuda(cudaEventRecord(event, stream), "cudaEventRecord");
	if (!err)
		err = lina_wait_event(comm, event);
	(void)cudaEventDestroy(event);
	return err;
}
