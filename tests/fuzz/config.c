/* An environment: variables separated by newlines. */
#include "plugin/config.h"

#include <stdlib.h>
#include <string.h>

#include "fuzz/fuzz.h"

const unsigned fuzz_inputs = 100000;

enum { VARIABLES_MAX = 64 };

static void env_make(const uint8_t *data, size_t size, char *env[VARIABLES_MAX + 1])
{
	int n = 0;

	while (size && n < VARIABLES_MAX) {
		const uint8_t *end = memchr(data, '\n', size);
		size_t length = end ? (size_t)(end - data) : size;
		env[n] = malloc(length + 1);
		if (!env[n])
			die("no memory");
		memcpy(env[n], data, length);
		env[n++][length] = '\0';
		data += end ? length + 1 : length;
		size -= end ? length + 1 : length;
	}
	env[n] = NULL;
}

static void knob_check(const struct lina_knob *knob, const struct lina_config *config)
{
	const char *field = (const char *)config + knob->offset;
	int number;

	if (knob->kind == LINA_KNOB_TEXT) {
		FUZZ_CHECK(memchr(field, '\0', LINA_CONFIG_TEXT_BYTES));
		FUZZ_CHECK(!*field || !*knob->choices || strstr(knob->choices, field));
		return;
	}
	memcpy(&number, field, sizeof(number));
	FUZZ_CHECK(number >= knob->lowest && number <= knob->highest);
}

static void config_check(int err, const struct lina_config *config)
{
	size_t nknobs;
	const struct lina_knob *knobs = lina_config_knobs(&nknobs);

	if (err) {
		for (size_t i = 0; i < sizeof(*config); i++)
			FUZZ_CHECK(((const uint8_t *)config)[i] == GUARD);
		FUZZ_CHECK(log_warnings() > 0);
		return;
	}
	for (size_t i = 0; i < nknobs; i++)
		knob_check(&knobs[i], config);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *env[VARIABLES_MAX + 1];
	struct lina_config config;

	lina_log_set(record_log);
	log_forget();
	env_make(data, size, env);
	memset(&config, GUARD, sizeof(config));
	config_check(lina_config_read(env, &config), &config);
	for (int i = 0; env[i]; i++)
		free(env[i]);
	return 0;
}

size_t fuzz_seed(unsigned i, uint8_t *out, size_t room)
{
	static const char *const seeds[] = {
		"LINA_LANES=4\nLINA_EARLY_BYTES=0\nPATH=/bin",
		"LINA_CONNECT_TIMEOUT_MS=100\nLINA_PEER_TIMEOUT_MS=3600000\n",
		"LINA_IFNAME=^=eth0,eth1\nLINA_SOCKET_FAMILY=AF_INET6",
		"NCCL_SOCKET_IFNAME=lo\nNCCL_SOCKET_FAMILY=AF_INET\nLINA_LANES=",
		"LINA_LANE=1\nLINA_LANES=17\nLINA",
	};

	if (i >= sizeof(seeds) / sizeof(*seeds) || strlen(seeds[i]) > room)
		return 0;
	memcpy(out, seeds[i], strlen(seeds[i]));
	return strlen(seeds[i]);
}
