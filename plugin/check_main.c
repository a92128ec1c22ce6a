/* lina-check: what NCCL will find on this machine, whether it works, and what to do where not. */
#include <argp.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "plugin/check_find.h"
#include "plugin/check_host.h"
#include "plugin/check_test.h"
#include "plugin/config.h"

enum {
	SELF_TEST_S = 10,
	PEER_TIMEOUT_MS = 60000,
	WHY_BYTES = 512,
	EXIT_WARN = 1, /* the exit status: 0 all is well, 1 warnings, 2 failures, 64 usage */
	EXIT_FAIL = 2
};
/* For argp, which is in the C library and looks for it. */
__attribute__((visibility("default"))) const char *argp_program_version =
	"lina-check " LINA_VERSION;

enum option_key { KEY_NCCL = 0x100, KEY_NO_TEST };

struct options {
	const char *plugin, *nccl, *connect;
	bool listen, json, self_test;
	double seconds;
	int dev;
};

static const char *plugin_env(const struct options *o)
{
	return o->plugin ? o->plugin : getenv("NCCL_NET_PLUGIN");
}

/* *abi_p: the version of the ABI that this NCCL takes, the newest where there is none. */
static void nccl_part(struct check_report *report, const struct options *o, int *abi_p)
{
	struct check_found found;
	char why[WHY_BYTES];
	int version = 0;

	*abi_p = CHECK_ABI_LAST;
	if (check_find_nccl(o->nccl, &found, &version, why, sizeof(why)) != 0) {
		check_say(report, o->nccl ? CHECK_FAIL : CHECK_NOTE, "nccl",
			"name the one that your framework brings: --nccl "
			".../site-packages/nvidia/nccl/lib/libnccl.so.2",
			"no NCCL here: %s", why);
		return;
	}
	int abi = check_nccl_abi(version);
	if (!abi) {
		check_say(report, CHECK_FAIL, "nccl", "use NCCL 2.20 or later",
			"%s is version %d, which takes no net plugin of ABI 8 or later", found.path,
			version);
		return;
	}
	check_say(report, CHECK_OK, "nccl", NULL, "%s, version %d.%d.%d, takes net ABI v%d",
		found.path, version / 10000, version / 100 % 100, version % 100, abi);
	if (version >= 22800 && version < 23000 && !getenv("NCCL_NET_PLUGIN_REF_COUNT"))
		check_say(report, CHECK_NOTE, "nccl",
			"set NCCL_NET_PLUGIN_REF_COUNT=1 for jobs that make communicators again",
			"this NCCL forgets its plugin with its last communicator");
	*abi_p = abi;
}

static int plugin_part(
	struct check_report *report, const struct options *o, struct check_found *found_p)
{
	const char *env = plugin_env(o);
	char why[WHY_BYTES];

	if (!env || !env[0])
		check_say(report, CHECK_NOTE, "plugin", "set NCCL_NET_PLUGIN=lina for your job",
			"NCCL_NET_PLUGIN is not set: NCCL looks for libnccl-net.so");
	if (check_find_plugin(env, found_p, why, sizeof(why)) != 0) {
		check_say(report, CHECK_FAIL, "plugin",
			"put its folder into LD_LIBRARY_PATH, or its path into NCCL_NET_PLUGIN",
			"%s", why);
		return -ENOENT;
	}
	check_say(report, CHECK_OK, "plugin", NULL, "%s", found_p->path);
	return 0;
}

static void tables_part(struct check_report *report, const char *path, int abi)
{
	char list[64] = "";

	for (int v = CHECK_ABI_FIRST; v <= CHECK_ABI_LAST; v++) {
		struct check_net *net;
		if (!check_net_has(path, v))
			continue;
		size_t used = strlen(list);
		(void)snprintf(list + used, sizeof(list) - used, " v%d", v);
		if (check_net_open(path, v, &net) == 0)
			check_net_close(net);
		else
			check_say(report, CHECK_FAIL, "plugin", NULL, "net ABI v%d: %s", v,
				check_net_warning());
	}
	bool has = check_net_has(path, abi);
	check_say(report, has ? CHECK_OK : CHECK_FAIL, "plugin",
		has ? NULL : "install the release of the plugin that fits this NCCL",
		"net ABIs:%s; v%d is%s there", list, abi, has ? "" : " not");
}

static int devices_part(struct check_report *report, struct check_net *net)
{
	int ndevs = 0;

	int err = check_net_devices(net, &ndevs);
	for (int i = 0; i < ndevs && !err; i++) {
		struct check_device d;
		err = check_net_device(net, i, &d);
		if (!err)
			check_say(report, CHECK_OK, "device", NULL,
				"%d: %s, %d Mbit/s%s%s, %s%s; at most %d connections", i, d.name,
				d.speed_mbps, d.pci_path[0] ? ", " : "", d.pci_path,
				d.cuda ? "host and GPU memory" : "host memory",
				d.dmabuf ? " (dmabuf)" : "", d.max_comms);
	}
	if (err || ndevs == 0)
		check_say(report, CHECK_FAIL, "device", NULL, "no device: %s", check_net_warning());
	return err ? err : ndevs ? 0 : -ENODEV;
}

static void transfer_part(
	struct check_report *report, const struct options *o, const char *path, int abi)
{
	struct check_net *net;

	if (check_net_open(path, abi, &net) != 0) {
		check_say(report, CHECK_FAIL, "plugin",
			"NCCL would go on with its own transport, without a word but this one",
			"it does not start: %s", check_net_warning());
		return;
	}
	if (devices_part(report, net) == 0) {
		if (o->listen)
			(void)check_peer_listen(report, net, o->dev, PEER_TIMEOUT_MS);
		else if (o->connect)
			(void)check_peer_connect(report, net, o->dev, o->connect, PEER_TIMEOUT_MS);
		else if (o->self_test && abi >= 11)
			(void)check_priority(report, net, o->dev, o->seconds);
		else if (o->self_test)
			check_say(report, CHECK_NOTE, "priority", NULL,
				"not tested: an NCCL of net ABI v%d says what a transfer is "
				"through its "
				"profiler, which runs in a job only",
				abi);
	}
	check_net_close(net);
}

static void check_all(struct check_report *report, const struct options *o)
{
	struct check_found found;
	int abi;

	nccl_part(report, o, &abi);
	check_environment(report, environ);
	check_host(report);
	if (plugin_part(report, o, &found) != 0)
		return;
	tables_part(report, found.path, abi);
	transfer_part(report, o, found.path, abi);
}

/* --- options --- */

static int number(
	struct argp_state *state, const char *text, double lowest, double highest, double *value_p)
{
	char *end;
	double value = strtod(text, &end);

	if (end == text || *end || !(value >= lowest && value <= highest)) {
		argp_error(state, "'%s' is not a number from %g to %g", text, lowest, highest);
		return EINVAL;
	}
	*value_p = value;
	return 0;
}

static int parse(int key, char *arg, struct argp_state *state)
{
	struct options *o = state->input;
	double value;

	switch (key) {
	case 'p':
		o->plugin = arg;
		return 0;
	case KEY_NCCL:
		o->nccl = arg;
		return 0;
	case 'l':
		o->listen = true;
		return 0;
	case 'c':
		o->connect = arg;
		return 0;
	case 'j':
		o->json = true;
		return 0;
	case KEY_NO_TEST:
		o->self_test = false;
		return 0;
	case 's':
		return number(state, arg, 0.1, 3600, &o->seconds);
	case 'd':
		if (number(state, arg, 0, 1024, &value) != 0)
			return EINVAL;
		o->dev = (int)value;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

int main(int argc, char **argv)
{
	static const struct argp_option options[] = {
		{ "plugin", 'p', "NAME|PATH", 0, "As NCCL_NET_PLUGIN, whatever that says", 0 },
		{ "nccl", KEY_NCCL, "PATH", 0,
			"The NCCL that the job uses (the loader's libnccl.so.2)", 0 },
		{ "listen", 'l', NULL, 0, "Wait for lina-check --connect on another host", 0 },
		{ "connect", 'c', "HANDLE", 0, "Connect to lina-check --listen on another host",
			0 },
		{ "device", 'd', "N", 0, "The device to test (0)", 0 },
		{ "seconds", 's', "S", 0, "How long the self-test runs (10)", 0 },
		{ "no-self-test", KEY_NO_TEST, NULL, 0, "Do without it", 0 },
		{ "json", 'j', NULL, 0, "One JSON object instead of text", 0 },
		{ 0 },
	};
	static const struct argp argp = { options, parse, NULL,
		"Says which plugin NCCL will load here, what it finds, whether it works, and what "
		"to "
		"do where it does not.\v"
		"Exit status: 0 all is well, 1 there are warnings, 2 something does not work, 64 "
		"wrong options.",
		NULL, NULL, NULL };
	struct options o = { .self_test = true, .seconds = SELF_TEST_S };
	static struct check_report report;

	if (argp_parse(&argp, argc, argv, 0, NULL, &o) != 0)
		return EX_USAGE;
	check_all(&report, &o);
	(o.json ? check_print_json : check_print)(stdout, &report);
	if (fflush(stdout) != 0 || ferror(stdout)) {
		(void)fprintf(stderr, "lina-check: the standard output cannot be written to\n");
		return EXIT_FAIL;
	}
	enum check_level worst = check_worst(&report);
	return worst == CHECK_FAIL ? EXIT_FAIL : worst == CHECK_WARN ? EXIT_WARN : EXIT_SUCCESS;
}
