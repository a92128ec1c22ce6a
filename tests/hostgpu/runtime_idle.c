/*
 * NCCL's waits, made cheap. NCCL polls: its progress thread calls sched_yield for as long as
 * nothing moves, group calls loop on usleep(1), bootstrap of older releases loops on recv. Each
 * loop keeps a processor busy, and here all ranks share a few. The link (--wrap) sends those calls
 * here, where a thread that has waited for long sleeps.
 *
 * Progress resets the back-off. The progress thread says when it has any, through the hook below;
 * of other threads it is known by the time that passes between two polls.
 */
#include "wait.h"

#include <errno.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

enum {
	WORKED_NS = 1000 * 1000, /* a thread that did not poll for so long did something else */
	RECV_POLLS = 100,        /* receives without data and without a yield: a loop on recv */
	SHORT_SLEEP_US = 100,    /* shorter sleeps are polls */
};

static _Thread_local struct {
	struct hostgpu_wait wait;
	bool hooked;        /* a progress thread: the hook says when to reset */
	bool active;        /* its last pass moved something */
	unsigned int recvs; /* that had no data, since the last yield */
	uint64_t last_ns;   /* end of the last poll */
} me;

int __wrap_sched_yield(void);
int __wrap_usleep(useconds_t sleep_us);
int __real_usleep(useconds_t sleep_us);
ssize_t __wrap_recv(int socket, void *buffer, size_t bytes, int flags);
ssize_t __real_recv(int socket, void *buffer, size_t bytes, int flags);
int __wrap_accept(int socket, struct sockaddr *address, socklen_t *bytes);
int __real_accept(int socket, struct sockaddr *address, socklen_t *bytes);

static uint64_t now_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void poll_step(void)
{
	if (me.hooked) {
		if (me.active)
			hostgpu_wait_reset(&me.wait);
		hostgpu_wait_step(&me.wait);
		return;
	}
	if (now_ns() - me.last_ns > WORKED_NS)
		hostgpu_wait_reset(&me.wait);
	hostgpu_wait_step(&me.wait);
	me.last_ns = now_ns();
}

int __wrap_sched_yield(void)
{
	me.recvs = 0;
	poll_step();
	return 0;
}

int __wrap_usleep(useconds_t sleep_us)
{
	if (sleep_us >= SHORT_SLEEP_US)
		return __real_usleep(sleep_us);
	poll_step();
	return 0;
}

ssize_t __wrap_recv(int socket, void *buffer, size_t bytes, int flags)
{
	ssize_t got = __real_recv(socket, buffer, bytes, flags);
	if (got >= 0 || errno != EAGAIN) {
		me.recvs = 0;
		return got;
	}
	if (++me.recvs > RECV_POLLS) {
		poll_step();
		errno = EAGAIN;
	}
	return got;
}

int __wrap_accept(int socket, struct sockaddr *address, socklen_t *bytes)
{
	int accepted = __real_accept(socket, address, bytes);
	if (accepted < 0 && errno == EAGAIN) {
		poll_step();
		errno = EAGAIN;
	}
	return accepted;
}

/* ---- the hook ------------------------------------------------------------------------------ */

/* NCCL tells its profiler when a progress thread goes idle, turns active, sleeps or takes
 * operations. Numbers: ncclProxyProfileState (to 2.22) and ncclProfilerEventState_t (from 2.26). */
static void progress_note(int state, int active, int idle)
{
	me.hooked = true;
	if (state == active || state == idle)
		me.active = state == active;
	hostgpu_wait_reset(&me.wait);
}

#if HOSTGPU_NCCL_VERSION >= 22600

int __wrap__Z37ncclProfilerRecordProxyCtrlEventStatePvi24ncclProfilerEventState_t(
	void *event, int appended, int state);
int __real__Z37ncclProfilerRecordProxyCtrlEventStatePvi24ncclProfilerEventState_t(
	void *event, int appended, int state);

int __wrap__Z37ncclProfilerRecordProxyCtrlEventStatePvi24ncclProfilerEventState_t(
	void *event, int appended, int state)
{
	enum { IDLE = 13, ACTIVE = 14 };
	progress_note(state, ACTIVE, IDLE);
	return __real__Z37ncclProfilerRecordProxyCtrlEventStatePvi24ncclProfilerEventState_t(
		event, appended, state);
}

#else

int __wrap__Z19ncclProfilingRecordP13ncclProxyArgsiii(void *args, int sub, int step, int state);
int __real__Z19ncclProfilingRecordP13ncclProxyArgsiii(void *args, int sub, int step, int state);

int __wrap__Z19ncclProfilingRecordP13ncclProxyArgsiii(void *args, int sub, int step, int state)
{
	enum { IDLE = 16, ACTIVE = 17 };
	progress_note(state, ACTIVE, IDLE);
	return __real__Z19ncclProfilingRecordP13ncclProxyArgsiii(args, sub, step, state);
}

#endif
