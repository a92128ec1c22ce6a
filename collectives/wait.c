#include "collectives/wait.h"

#include <sched.h>
#include <time.h>

#include "collectives/error.h"

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

int lina_nccl_launched(ncclComm_t comm, ncclResult_t result, const char *what)
{
	long pause_ns = 0;

	while (result == ncclInProgress) {
		int err = lina_nccl(ncclCommGetAsyncError(comm, &result), "ncclCommGetAsyncError");
		if (err)
			return err;
		if (result == ncclInProgress)
			pause_a_little(&pause_ns);
	}
	return lina_nccl(result, what);
}

int lina_wait_event(ncclComm_t comm, cudaEvent_t event)
{
	cudaError_t state;
	long pause_ns = 0;

	while ((state = cudaEventQuery(event)) == cudaErrorNotReady) {
		ncclResult_t result = ncclSuccess;
		int err = lina_nccl(ncclCommGetAsyncError(comm, &result), "ncclCommGetAsyncError");
		if (!err)
			err = lina_nccl(result, "the communicator");
		if (err)
			return err;
		pause_a_little(&pause_ns);
	}
	return lina_cuda(state, "cudaEventQuery");
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
