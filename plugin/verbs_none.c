/*
 * Stands in for the verbs transport where the plugin was built without libibverbs' headers.
 */
#include <errno.h>
#include <string.h>

#include "plugin/log.h"
#include "plugin/transport.h"

static int none_open(const struct lina_config *config, struct lina_transport **transport_p)
{
	static const char why[] = "this plugin was built without libibverbs' headers";

	(void)transport_p;
	if (strcmp(config->transport, "verbs") == 0)
		lina_warn("transport verbs: %s", why);
	else
		lina_info("transport tcp, not verbs: %s", why);
	return -ENODEV;
}

const struct lina_transport_ops lina_verbs_ops = { .name = "verbs", .open = none_open };
