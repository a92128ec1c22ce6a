#include "plugin/check_host.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "plugin/classes.h"
#include "plugin/config.h"
#include "plugin/log.h"
#include "plugin/stats.h"

/* A rank holds some sockets for every peer and communicator; below this a job of a few hundred
 * ranks runs out. */
enum { NOFILE_WANTED = 4096 };
/* What a queue pair and its buffers pin: NCCL's own buffers are 4 MiB a channel and more. */
static const rlim_t memlock_wanted = (rlim_t)256 << 20;

static const char *limit_text(rlim_t limit, char text[32])
{
	if (limit == RLIM_INFINITY)
		return "unlimited";
	(void)snprintf(text, 32, "%" PRIuMAX, (uintmax_t)limit);
	return text;
}

static void check_limit(struct check_report *report, __rlimit_resource_t resource, const char *name,
	rlim_t wanted, const char *remedy)
{
	struct rlimit limit;
	char text[32];

	if (getrlimit(resource, &limit) != 0)
		return;
	bool enough = limit.rlim_cur == RLIM_INFINITY || limit.rlim_cur >= wanted;
	check_say(report, enough ? CHECK_OK : CHECK_WARN, "limits", enough ? NULL : remedy,
		"%s: %s", name, limit_text(limit.rlim_cur, text));
}

static bool has_rdma(void)
{
	DIR *dir = opendir("/sys/class/infiniband");
	int n = 0;

	if (!dir)
		return false;
	for (const struct dirent *e = readdir(dir); e; e = readdir(dir))
		n += e->d_name[0] != '.';
	(void)closedir(dir);
	return n > 0;
}

static void check_shared_memory(struct check_report *report)
{
	if (access(LINA_STATS_DIRECTORY, R_OK | W_OK | X_OK) == 0)
		check_say(report, CHECK_OK, "limits", NULL, "%s can be written",
			LINA_STATS_DIRECTORY);
	else
		check_say(report, CHECK_WARN, "limits",
			"mount a tmpfs there, or set LINA_STATS=0 and LINA_SHARE=0",
			"%s cannot be written (%s): no lina-top, and processes of one host do not "
			"know of each other's traffic",
			LINA_STATS_DIRECTORY, strerror(errno));
}

void check_host(struct check_report *report)
{
	check_limit(report, RLIMIT_NOFILE, "open files (ulimit -n)", NOFILE_WANTED,
		"raise it: ulimit -n 65536, or LimitNOFILE= of the service that starts jobs");
	if (has_rdma())
		check_limit(report, RLIMIT_MEMLOCK, "locked memory in bytes (ulimit -l)",
			memlock_wanted,
			"RDMA pins its buffers: ulimit -l unlimited (limits.conf, Slurm's "
			"PropagateResourceLimits, docker --ulimit memlock=-1)");
	else
		check_say(report, CHECK_NOTE, "limits", NULL,
			"no RDMA device in /sys/class/infiniband: traffic goes over TCP");
	check_shared_memory(report);
}

/* --- the environment --- */

/* lina_log has no argument for it. */
static struct check_report *config_report;

static void config_said(int level, unsigned long flags, const char *file, int line, const char *fmt,
	...) __attribute__((format(printf, 5, 6)));

static void config_said(
	int level, unsigned long flags, const char *file, int line, const char *fmt, ...)
{
	char text[CHECK_TEXT_BYTES];
	va_list args;

	(void)flags;
	(void)file;
	(void)line;
	if (level != LINA_LOG_WARN)
		return;
	va_start(args, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	check_say(config_report, CHECK_WARN, "knobs", NULL, "%s", text);
}

static void check_knobs(struct check_report *report, char *const *env)
{
	struct lina_class_rules rules;
	struct lina_config config;

	config_report = report;
	lina_log_set(config_said);
	int err = lina_config_read(env, &config);
	if (!err)
		err = lina_classes_read(config.classes, &rules);
	lina_log_set(NULL);
	if (err)
		check_say(report, CHECK_FAIL, "knobs", "correct the variable or unset it",
			"the plugin will not start, and NCCL will go on with its own transport");
	else
		check_say(report, CHECK_OK, "knobs", NULL, "every LINA_ variable can be read");
}

static const char *value_of(char *const *env, const char *name)
{
	size_t len = strlen(name);

	for (; *env; env++)
		if (strncmp(*env, name, len) == 0 && (*env)[len] == '=')
			return *env + len + 1;
	return NULL;
}

void check_environment(struct check_report *report, char *const *env)
{
	const char *net = value_of(env, "NCCL_NET");

	check_knobs(report, env);
	if (net && net[0] && strcmp(net, "lina") != 0)
		check_say(report, CHECK_FAIL, "nccl", "unset NCCL_NET, or set it to lina",
			"NCCL_NET=%s: NCCL will take that network and not the plugin", net);
	if (value_of(env, "NCCL_NET_DISABLE"))
		check_say(report, CHECK_WARN, "nccl", "unset it", "NCCL_NET_DISABLE is set");
}
