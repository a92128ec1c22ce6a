/* A host that is gone without a word: its link goes down, or it is silent. Ends that wait for
 * it fail within LINA_PEER_TIMEOUT_MS and a few seconds, whatever they wait for. The other host is
 * a child in a network namespace of its own; a machine that has none skips. */
#include <errno.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "net/fixture.h"

enum {
	LIMIT_MS = 60000,
	TIMEOUT_MS = 3000,
	GRACE_MS = 6000, /* two looks of a second each, the kernel's rounding, a busy machine */
	LARGE = 48 << 20,
	SMALL = 1000
};

static const char settings_here[] = "LINA_IFNAME=cuta LINA_EARLY_BYTES=0 LINA_PEER_TIMEOUT_MS=3000";
static const char settings_there[] =
	"LINA_IFNAME=cutb LINA_EARLY_BYTES=0 LINA_PEER_TIMEOUT_MS=3600000";

static int run(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

static int run(const char *fmt, ...)
{
	char command[512];
	va_list args;

	va_start(args, fmt);
	(void)vsnprintf(command, sizeof(command), fmt, args);
	va_end(args);
	return system(command); /* NOLINT(cert-env33-c,bugprone-command-processor) */
}

static void pipe_write(int fd, const void *bytes, size_t n)
{
	if (write(fd, bytes, n) != (ssize_t)n)
		die("pipe: %s", strerror(errno));
}

static void pipe_read(int fd, void *bytes, size_t n)
{
	for (size_t got = 0; got < n;) {
		ssize_t r = read(fd, (char *)bytes + got, n - got);
		if (r <= 0)
			die("the other host has ended");
		got += (size_t)r;
	}
}

/* The connections, by what this end waits for. */
enum { CREDIT, WINDOW, ANSWER, MESSAGE, REST, NCONNS };
static const char *const waits_for[NCONNS] = { "credit", "a closed window", "an answer to data",
	"a message", "the rest of a message" };

static uint8_t *large;

static void step(struct lina_request *request, int ms)
{
	int done = 0, err = 0;

	for (uint64_t until = now_ms() + (uint64_t)ms; now_ms() < until && !done && !err;)
		err = lina_net_test(request, &done, NULL);
	if (err)
		die("%s", strerror(-err));
}

/* The kernel notes in its own time, and at each end for itself, that the link runs. */
#define UNTIL_UP(link)                                                                   \
	"for i in $(seq 500); do ip -br link show " link " | grep -q ' UP ' && exit 0; " \
	"sleep 0.01; done; exit 1"

/* --- the host that will be gone --- */

static void there_connect(struct lina_net *net, int from, int to, struct lina_conn **conn)
{
	uint8_t handle[LINA_HANDLE_BYTES];

	for (int i = 0; i < NCONNS; i++) {
		struct lina_listener *listener;
		if (i >= MESSAGE) { /* this end sends */
			pipe_read(from, handle, sizeof(handle));
			if (connect_within(net, handle, LIMIT_MS, &conn[i]))
				die("no connection");
			continue;
		}
		if (lina_net_listen(net, 0, handle, &listener))
			die("no listener");
		pipe_write(to, handle, sizeof(handle));
		if (accept_within(listener, LIMIT_MS, &conn[i]))
			die("nobody came");
	}
}

static void there(int from, int to)
{
	struct lina_conn *conn[NCONNS];
	struct lina_net *net;
	char more;

	if (unshare(CLONE_NEWNET))
		die("unshare: %s", strerror(errno));
	pipe_write(to, "", 1);
	pipe_read(from, &more, 1); /* the link is here */
	if (run("ip link set lo up && ip addr add 10.98.0.2/24 dev cutb && "
		"ip link set cutb up && " UNTIL_UP("cutb")) ||
		net_open(settings_there, &net))
		die("no link");
	pipe_write(to, "", 1);
	there_connect(net, from, to, conn);
	/* Credit for what fills the window, and for what will be sent after the cut. */
	step(post_recv(conn[WINDOW], large, LARGE, 0), 200);
	step(post_recv(conn[ANSWER], large, SMALL, 0), 200);
	step(post_send(conn[REST], large, LARGE, 0), 300);
	pipe_write(to, "", 1);
	for (;;)
		(void)pause();
}

/* --- the host that notices --- */

static struct {
	pid_t pid;
	int to, from;
	struct lina_net *net;
	struct lina_conn *conn[NCONNS];
	struct lina_request *request[NCONNS];
} here;

static void here_start(void)
{
	int forth[2], back[2];
	char more;

	if (pipe(forth) || pipe(back))
		die("pipe: %s", strerror(errno));
	here.pid = fork();
	if (here.pid < 0)
		die("fork: %s", strerror(errno));
	if (here.pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* ends with this process */
		(void)close(forth[1]);
		(void)close(back[0]);
		there(forth[0], back[1]);
	}
	(void)close(forth[0]);
	(void)close(back[1]);
	here.to = forth[1];
	here.from = back[0];
	pipe_read(here.from, &more, 1);
	assert_int_equal(run("ip link add cuta type veth peer name cutb && "
			     "ip link set cutb netns %d && "
			     "ip addr add 10.98.0.1/24 dev cuta && ip link set cuta up",
				 (int)here.pid),
		0);
	pipe_write(here.to, "", 1);
	pipe_read(here.from, &more, 1);
	assert_int_equal(run(UNTIL_UP("cuta")), 0);
	assert_int_equal(net_open(settings_here, &here.net), 0);
}

static void here_connect(void)
{
	uint8_t handle[LINA_HANDLE_BYTES];
	struct lina_listener *listener;

	for (int i = 0; i < NCONNS; i++) {
		if (i < MESSAGE) {
			pipe_read(here.from, handle, sizeof(handle));
			assert_int_equal(
				connect_within(here.net, handle, LIMIT_MS, &here.conn[i]), 0);
			continue;
		}
		assert_int_equal(lina_net_listen(here.net, 0, handle, &listener), 0);
		pipe_write(here.to, handle, sizeof(handle));
		assert_int_equal(accept_within(listener, LIMIT_MS, &here.conn[i]), 0);
	}
}

/* All but ANSWER, which is sent after the cut. */
static void here_post(void)
{
	char more;

	here.request[CREDIT] = post_send(here.conn[CREDIT], large, SMALL, 0);
	here.request[MESSAGE] = post_recv(here.conn[MESSAGE], large, SMALL, 0);
	here.request[REST] = post_recv(here.conn[REST], large + LARGE / 2, LARGE, 0);
	step(here.request[REST], 100);
	pipe_read(here.from, &more, 1);
	here.request[WINDOW] = post_send(here.conn[WINDOW], large, LARGE, 0);
	for (int i = 0; i < NCONNS; i++)
		if (here.request[i])
			step(here.request[i], 200);
}

/* Tests one wait; true when it has ended, by the error that it must be. */
static bool wait_ends(int i)
{
	int done = 0;

	int err = lina_net_test(here.request[i], &done, NULL);
	/* The small send is with the kernel, and done; the next one is not. */
	if (done)
		here.request[i] = post_send(here.conn[i], large, SMALL, 0);
	if (err && err != -ETIMEDOUT && err != -EHOSTUNREACH)
		fail_msg("%s: %s", waits_for[i], strerror(-err));
	return err != 0;
}

static void end_check(int i, uint64_t cut, uint64_t ended)
{
	if (!ended)
		fail_msg("the wait for %s does not end", waits_for[i]);
	(void)printf("waiting for %s ended after %d ms\n", waits_for[i], (int)(ended - cut));
	if (ended - cut > TIMEOUT_MS + GRACE_MS)
		fail_msg("the wait for %s took %d ms", waits_for[i], (int)(ended - cut));
}

/* Every wait ends in time, by an error, with one line each. */
static void all_waits_end(void)
{
	uint64_t cut = now_ms(), ended[NCONNS] = { 0 };
	int left = NCONNS;

	here.request[ANSWER] = post_send(here.conn[ANSWER], large, SMALL, 0);
	while (left > 0 && now_ms() - cut < LIMIT_MS) {
		for (int i = 0; i < NCONNS; i++) {
			if (ended[i] || !wait_ends(i))
				continue;
			ended[i] = now_ms();
			left--;
		}
	}
	for (int i = 0; i < NCONNS; i++)
		end_check(i, cut, ended[i]);
	if (log_warnings() != NCONNS || !log_says("10.98.0.2:"))
		fail_msg("%d lines: %s", log_warnings(), log_text());
}

static void here_end(void)
{
	(void)kill(here.pid, SIGKILL);
	(void)waitpid(here.pid, NULL, 0);
	(void)close(here.to);
	(void)close(here.from);
	assert_int_equal(lina_net_close(here.net), 0);
	(void)run("ip link del cuta 2>/dev/null");
	memset(&here, 0, sizeof(here));
}

static void host_is_cut(const char *how)
{
	log_forget();
	here_start();
	here_connect();
	here_post();
	assert_int_equal(log_warnings(), 0);
	assert_int_equal(run("PEER=%d; %s", (int)here.pid, how), 0);
	all_waits_end();
	here_end();
}

static void link_that_goes_down(void **state)
{
	(void)state;
	host_is_cut("ip link set cuta down");
}

/* The other host loses its address: it does not even answer the question who has it. */
static void host_that_nobody_finds(void **state)
{
	(void)state;
	host_is_cut("nsenter -t $PEER -n ip addr flush dev cutb");
}

/* The same where nobody asks: packets go out and nothing comes back. */
static void host_that_is_silent(void **state)
{
	(void)state;
	host_is_cut("ip neigh replace 10.98.0.2 dev cuta nud permanent lladdr "
		    "$(nsenter -t $PEER -n ip -br link show cutb | awk '{ print $3 }') && "
		    "nsenter -t $PEER -n ip addr flush dev cutb");
}

static void namespace_enter(void)
{
	if (unshare(CLONE_NEWNET) && unshare(CLONE_NEWUSER | CLONE_NEWNET))
		skip_all("no network namespace can be made");
	if (run("ip link set lo up && ip link add cuta type veth peer name cutb && "
		"ip link del cuta"))
		skip_all("no links can be made in a network namespace");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(link_that_goes_down),
		cmocka_unit_test(host_that_nobody_finds),
		cmocka_unit_test(host_that_is_silent),
	};

	(void)signal(SIGPIPE, SIG_IGN);
	namespace_enter();
	large = calloc(1, LARGE + LARGE / 2);
	if (!large)
		die("no memory");
	int failed = cmocka_run_group_tests_name("cut_host", tests, NULL, NULL);
	free(large);
	return failed;
}
