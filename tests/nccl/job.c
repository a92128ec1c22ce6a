#include "job.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { RENDEZVOUS_TIMEOUT_S = 60, LOG_TAIL_LINES = 25 };

/* For job_fail(), which has no other way to the log. */
static const struct job *current;

double job_now_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void sleep_us(long us)
{
	const struct timespec t = { us / 1000000, us % 1000000 * 1000 };

	nanosleep(&t, NULL);
}

/* ---- failing -----------------------------------------------------------------------------------
 */

static void show_log(const char *path)
{
	char lines[LOG_TAIL_LINES][512];
	size_t n = 0;
	FILE *log = fopen(path, "r");

	if (log == NULL)
		return;
	while (fgets(lines[n % LOG_TAIL_LINES], sizeof(lines[0]), log) != NULL)
		n++;
	fclose(log);
	fprintf(stderr, "the end of NCCL's log:\n");
	for (size_t i = n > LOG_TAIL_LINES ? n - LOG_TAIL_LINES : 0; i < n; i++)
		fprintf(stderr, "  %s", lines[i % LOG_TAIL_LINES]);
}

void job_fail(const char *file, int line, const char *format, ...)
{
	const char *base = strrchr(file, '/');
	va_list args;

	fprintf(stderr, "FAILED at %s:%d: ", base != NULL ? base + 1 : file, line);
	va_start(args, format);
	/* clang-tidy 14 overlooks va_start in a function that does not return. */
	/* NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized) */
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	if (current != NULL)
		show_log(current->log_path);
	_exit(1); /* not exit(): NCCL's threads may be in any state */
}

void job_need_nccl(const char *file, int line, const char *call, ncclResult_t result)
{
	if (result != ncclSuccess)
		job_fail(file, line, "%s: %s (%s)", call, ncclGetErrorString(result),
			ncclGetLastError(NULL));
}

void job_need_cuda(const char *file, int line, const char *call, int result)
{
	if (result != 0)
		job_fail(file, line, "%s: %s", call, cudaGetErrorString((cudaError_t)result));
}

/* ---- starting ----------------------------------------------------------------------------------
 */

enum { OPTION_PLUGIN = 0x100, OPTION_ABI, OPTION_NETWORK };

static const struct argp_option job_options[] = {
	{ "plugin", OPTION_PLUGIN, "NAME", 0,
		"Net plugin, a path or what NCCL finds by name (default: NCCL's own socket "
		"transport)",
		9 },
	{ "abi", OPTION_ABI, "N", 0,
		"Net ABI that NCCL must load it by (default: the newest that both have)", 9 },
	{ "network", OPTION_NETWORK, "NAME", 0,
		"What NCCL must say it uses (default: lina with --plugin, else Socket)", 9 },
	{ 0 },
};

static error_t parse_job(int key, char *text, struct argp_state *state)
{
	struct job *job = state->input;

	switch (key) {
	case OPTION_PLUGIN:
		job->plugin = text;
		return 0;
	case OPTION_ABI:
		job->abi = atoi(text);
		return 0;
	case OPTION_NETWORK:
		job->network = text;
		return 0;
	case ARGP_KEY_SUCCESS:
		if (job->network == NULL)
			job->network = job->plugin != NULL ? "lina" : "Socket";
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

const struct argp job_argp = { job_options, parse_job, NULL, NULL, NULL, NULL, NULL };

static const char *need_variable(const char *name)
{
	const char *value = getenv(name);

	if (value == NULL)
		FAIL("%s is not set: start this program with lina-launch", name);
	return value;
}

void job_start(struct job *job)
{
	int version;

	current = job;
	job->rank = atoi(need_variable("LINA_RANK"));
	job->nranks = atoi(need_variable("LINA_NRANKS"));
	job->rendezvous_dir = need_variable("LINA_RENDEZVOUS");
	snprintf(job->log_path, sizeof(job->log_path), "%s/nccl.%d.log", job->rendezvous_dir,
		job->rank);
	setenv("NCCL_DEBUG", "INFO", 0);
	setenv("NCCL_DEBUG_SUBSYS", "INIT,ENV,NET", 0);
	setenv("NCCL_DEBUG_FILE", job->log_path, 1);
	setenv("NCCL_IB_DISABLE", "1", 0);
	if (job->plugin == NULL)
		setenv("NCCL_NET_PLUGIN", "none", 1);
	else if (strchr(job->plugin, '/') == NULL || access(job->plugin, R_OK) == 0)
		setenv("NCCL_NET_PLUGIN", job->plugin, 1);
	else
		FAIL("no plugin %s: %s", job->plugin, strerror(errno));
	NCCL(ncclGetVersion(&version));
	if (version != NCCL_VERSION_CODE)
		FAIL("built with NCCL %d, but libnccl.so.2 is %d: LD_LIBRARY_PATH?",
			NCCL_VERSION_CODE, version);
}

/* ---- the rendezvous folder
 * ------------------------------------------------------------------------ */

void job_tell(const struct job *job, const char *what, const void *text, size_t bytes)
{
	char path[PATH_MAX], partial[PATH_MAX + 16];

	snprintf(path, sizeof(path), "%s/%s", job->rendezvous_dir, what);
	snprintf(partial, sizeof(partial), "%s.part.%d", path, job->rank);
	int fd = open(partial, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	if (fd < 0 || write(fd, text, bytes) != (ssize_t)bytes || close(fd) < 0 ||
		rename(partial, path) < 0)
		FAIL("cannot write %s: %s", path, strerror(errno));
}

void job_ask(const struct job *job, const char *what, void *text, size_t bytes)
{
	double end_s = job_now_s() + RENDEZVOUS_TIMEOUT_S;
	char path[PATH_MAX];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", job->rendezvous_dir, what);
	while ((fd = open(path, O_RDONLY)) < 0) {
		if (job_now_s() > end_s)
			FAIL("no rank wrote %s in %d s", path, RENDEZVOUS_TIMEOUT_S);
		sleep_us(2000);
	}
	if (read(fd, text, bytes) != (ssize_t)bytes)
		FAIL("%s is too short", path);
	close(fd);
}

void job_barrier(const struct job *job, const char *name)
{
	char what[2 * JOB_NAME_BYTES];

	snprintf(what, sizeof(what), "barrier.%s.%d", name, job->rank);
	job_tell(job, what, "", 0);
	for (int r = 0; r < job->nranks; r++) {
		snprintf(what, sizeof(what), "barrier.%s.%d", name, r);
		job_ask(job, what, what, 0);
	}
}

/* ---- communicators
 * --------------------------------------------------------------------------------- */

ncclResult_t job_try_comm_config(
	struct job *job, const char *name, ncclConfig_t *config, ncclComm_t *comm_p)
{
	char what[JOB_NAME_BYTES + 8];
	ncclUniqueId id;
	ncclComm_t comm;

	snprintf(what, sizeof(what), "id.%s", name);
	if (job->rank == 0) {
		NCCL(ncclGetUniqueId(&id));
		job_tell(job, what, &id, sizeof(id));
	} else {
		job_ask(job, what, &id, sizeof(id));
	}
	ncclResult_t result = ncclCommInitRankConfig(&comm, job->nranks, id, job->rank, config);
	while (result == ncclInProgress) /* one that does not block */
		NCCL(ncclCommGetAsyncError(comm, &result));
	if (result == ncclSuccess)
		*comm_p = comm;
	return result;
}

ncclResult_t job_try_comm(struct job *job, const char *name, ncclComm_t *comm_p)
{
	return job_try_comm_config(job, name, NULL, comm_p);
}

ncclComm_t job_comm(struct job *job, const char *name)
{
	ncclComm_t comm;

	NCCL(job_try_comm(job, name, &comm));
	return comm;
}

static bool stream_done(cudaStream_t stream)
{
	cudaError_t state = cudaStreamQuery(stream);

	if (state != cudaErrorNotReady)
		CUDA(state);
	return state == cudaSuccess;
}

/* A rank that waits must not take the processor from those that work: it asks ever more rarely. */
ncclResult_t job_wait(ncclComm_t comm, cudaStream_t stream, double timeout_s)
{
	double end_s = job_now_s() + timeout_s;
	long pause_us = 20;

	while (!stream_done(stream)) {
		ncclResult_t result;
		NCCL(ncclCommGetAsyncError(comm, &result));
		if (result != ncclSuccess && result != ncclInProgress)
			return result;
		if (job_now_s() > end_s)
			return JOB_TIMED_OUT;
		sleep_us(pause_us);
		pause_us = pause_us < 1000 ? pause_us * 3 / 2 : 1000;
	}
	return ncclSuccess;
}

/* ---- which network it is
 * ------------------------------------------------------------------------- */

/* Calls seen() with each line of the log. */
static void each_line(const char *path, void (*seen)(const char *line, void *arg), void *arg)
{
	char *line = NULL;
	size_t size = 0;
	FILE *log = fopen(path, "r");

	if (log == NULL)
		FAIL("NCCL wrote no log: %s: %s", path, strerror(errno));
	while (getline(&line, &size, log) > 0)
		seen(line, arg);
	free(line);
	fclose(log);
}

struct search {
	const char *text;
	int found;
};

static void search_line(const char *line, void *arg)
{
	struct search *search = arg;

	search->found += strstr(line, search->text) != NULL;
}

int job_count_log(const struct job *job, const char *text)
{
	struct search search = { text, 0 };

	each_line(job->log_path, search_line, &search);
	return search.found;
}

struct networks {
	int nright;
	char wrong[JOB_NAME_BYTES]; /* the first other one */
	const char *expected;
};

static void network_line(const char *line, void *arg)
{
	struct networks *networks = arg;
	const char *at = strstr(line, "Using network ");
	char name[JOB_NAME_BYTES];

	if (at == NULL || sscanf(at, "Using network %63s", name) != 1)
		return;
	if (strcmp(name, networks->expected) == 0)
		networks->nright++;
	else
		memcpy(networks->wrong, name, sizeof(name));
}

int job_abi(const struct job *job)
{
	if (job->abi != 0)
		return job->abi;
	/* The newest that this release of NCCL has and the plugin exports. */
	return NCCL_VERSION_CODE >= 23000 ? 12 : NCCL_VERSION_CODE >= 22800 ? 11 : 8;
}

void job_check_network(const struct job *job)
{
	struct networks networks = { 0, "", job->network };
	char loaded[2 * JOB_NAME_BYTES];

	each_line(job->log_path, network_line, &networks);
	if (networks.wrong[0] != '\0')
		FAIL("NCCL runs over network '%s', not '%s'", networks.wrong, job->network);
	if (networks.nright == 0)
		FAIL("NCCL does not say which network it uses");
	if (job->plugin == NULL || strcmp(job->network, "lina") != 0)
		return;
	snprintf(loaded, sizeof(loaded), "Loaded net plugin %s (v%d)", job->network, job_abi(job));
	/* NCCL 2.22 says nothing when it finds the version that it looks for first. */
	if (NCCL_VERSION_CODE >= 22300 && job_count_log(job, loaded) == 0)
		FAIL("NCCL's log does not have '%s'", loaded);
	if (NCCL_VERSION_CODE < 22300 && job_count_log(job, "Failed to find ncclNetPlugin_v8") > 0)
		FAIL("NCCL did not load the plugin by net ABI v8");
}
