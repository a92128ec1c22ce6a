/*
 * The self-test of the priorities: one process sends to itself. Bulk messages without a pause, and
 * every few milliseconds a latency message whose time is taken: alone, beside bulk of its own
 * class, and beside bulk that the plugin may hold. That it did hold is in its counters.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "plugin/check_test.h"
#include "plugin/stats_read.h"

enum {
	LATENCY_BYTES = 256 << 10,
	BULK_BYTES = 4 << 20,
	PAUSE_US = 2000, /* between two latency messages */
	SAMPLES_MAX = 4096,
	OPEN_TIMEOUT_MS = 10000,
	STALLED_S = 20,
};

enum phase { ALONE, ONE_CLASS, TWO_CLASSES, NPHASES };

struct loop {
	struct check_wire *out, *in;
	uint8_t *from, *to;
	size_t bytes;
};

struct self_test {
	struct check_net *net;
	struct loop latency, bulk;
	double samples_s[SAMPLES_MAX];
	int nsamples;
};

static void loop_close(struct loop *loop)
{
	check_wire_close(loop->out);
	check_wire_close(loop->in);
	free(loop->from);
	free(loop->to);
}

static int loop_open(struct loop *loop, struct check_net *net, int dev, size_t bytes)
{
	loop->bytes = bytes;
	loop->from = malloc(bytes);
	loop->to = malloc(bytes);
	if (!loop->from || !loop->to)
		return -ENOMEM;
	memset(loop->from, 0x5a, bytes);
	return check_net_loop(net, dev, OPEN_TIMEOUT_MS, &loop->out, &loop->in);
}

/* Keeps a message going, in the class that is said. 1: none is under way; 0; -errno. */
static int loop_step(struct loop *loop)
{
	int in = check_wire_step(loop->in);
	int out = check_wire_step(loop->out);

	return in < 0 ? in : out < 0 ? out : in && out;
}

static int loop_post(struct loop *loop)
{
	int err;

	while ((err = check_wire_post(loop->in, loop->to, loop->bytes)) == -EAGAIN)
		;
	if (err)
		return err;
	while ((err = check_wire_post(loop->out, loop->from, loop->bytes)) == -EAGAIN)
		if (check_wire_step(loop->in) < 0)
			return -EIO;
	return err;
}

static int bulk_move(struct self_test *t, enum phase phase)
{
	if (phase == ALONE)
		return 0;
	int free_now = loop_step(&t->bulk);
	if (free_now <= 0)
		return free_now;
	check_net_class(t->net, phase == TWO_CLASSES);
	return loop_post(&t->bulk);
}

static int sample(struct self_test *t, enum phase phase)
{
	double begin_s = check_now_s();

	check_net_class(t->net, false);
	int err = loop_post(&t->latency);
	while (!err) {
		int done = loop_step(&t->latency);
		if (done > 0)
			break;
		err = done ? done : bulk_move(t, phase);
		if (!err && check_now_s() - begin_s > STALLED_S)
			err = -ETIMEDOUT;
	}
	if (!err && t->nsamples < SAMPLES_MAX)
		t->samples_s[t->nsamples++] = check_now_s() - begin_s;
	return err;
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* The median of what a phase of so many seconds takes. */
static int phase_run(struct self_test *t, enum phase phase, double seconds, double *median_s_p)
{
	double until_s = check_now_s() + seconds;
	int err = 0;

	t->nsamples = 0;
	while (!err && check_now_s() < until_s) {
		err = sample(t, phase);
		for (double go_s = check_now_s() + PAUSE_US * 1e-6; !err && check_now_s() < go_s;)
			err = bulk_move(t, phase);
	}
	double stop_s = check_now_s() + STALLED_S;
	while (!err && phase != ALONE) {
		int done = loop_step(&t->bulk);
		if (done > 0)
			break;
		err = done ? done : check_now_s() > stop_s ? -ETIMEDOUT : 0;
	}
	if (err)
		return err;
	qsort(t->samples_s, (size_t)t->nsamples, sizeof(t->samples_s[0]), by_size);
	*median_s_p = t->samples_s[t->nsamples / 2];
	return 0;
}

/* How often the links of a process held bulk; -ENOENT where nobody counts. */
static int64_t holds_of(pid_t pid)
{
	struct lina_stats_found found[LINA_STATS_FOUND_MAX];
	struct lina_stats_view view;
	int64_t sum = -ENOENT;
	int nremoved;
	int n = lina_stats_find(LINA_STATS_DIRECTORY, found, LINA_STATS_FOUND_MAX, &nremoved);

	for (int i = 0; i < n; i++) {
		void *copy;
		size_t bytes;
		if (found[i].pid != pid || lina_stats_load(found[i].path, &copy, &bytes) != 0)
			continue;
		if (lina_stats_check(copy, bytes, &view) == 0)
			for (uint32_t link = 0; link < view.nlinks; link++)
				sum = (sum < 0 ? 0 : sum) +
				      (int64_t)lina_stats_get(&view.links[link].holds);
		free(copy);
	}
	return sum;
}

/* The same of this process, asked by a child: to this process itself, its own lock on its counters
 * looks like that of one that died. */
static int64_t holds(void)
{
	int ends[2];
	int64_t n = -ENOENT;

	if (pipe(ends) != 0)
		return n;
	pid_t child = fork();
	if (child == 0) {
		n = holds_of(getppid());
		_exit(write(ends[1], &n, sizeof(n)) == sizeof(n) ? 0 : 1);
	}
	(void)close(ends[1]);
	if (child > 0 && read(ends[0], &n, sizeof(n)) != sizeof(n))
		n = -ENOENT;
	(void)close(ends[0]);
	if (child > 0)
		(void)waitpid(child, NULL, 0);
	return n;
}

static void verdict(struct check_report *report, const double median_s[NPHASES], int64_t nholds)
{
	bool held = nholds > 0;

	check_say(report,
		held         ? CHECK_OK
		: nholds < 0 ? CHECK_NOTE
			     : CHECK_FAIL,
		"priority",
		held         ? NULL
		: nholds < 0 ? "set LINA_STATS=1 to see whether bulk was held"
			     : "see whether LINA_CLASSES puts all traffic into one class",
		"256 KiB of all-to-all take %.2f ms alone, %.2f ms beside allreduce of the same "
		"class, %.2f ms beside allreduce that can be held; held %lld times",
		median_s[ALONE] * 1e3, median_s[ONE_CLASS] * 1e3, median_s[TWO_CLASSES] * 1e3,
		nholds < 0 ? 0LL : (long long)nholds);
}

int check_priority(struct check_report *report, struct check_net *net, int dev, double seconds)
{
	struct self_test *t = calloc(1, sizeof(*t));
	double median_s[NPHASES];

	if (!t)
		return -ENOMEM;
	t->net = net;
	int err = loop_open(&t->latency, net, dev, LATENCY_BYTES);
	if (!err)
		err = loop_open(&t->bulk, net, dev, BULK_BYTES);
	for (int phase = 0; phase < NPHASES && !err; phase++)
		err = phase_run(t, (enum phase)phase, seconds / NPHASES, &median_s[phase]);
	if (err)
		check_say(report, CHECK_FAIL, "priority", NULL, "the self-test ended: %s %s",
			strerror(-err), check_net_warning());
	else
		verdict(report, median_s, holds());
	loop_close(&t->latency);
	loop_close(&t->bulk);
	free(t);
	return err;
}
