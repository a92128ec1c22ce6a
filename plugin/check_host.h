/*
 * What lina-check says of this machine and of the environment, besides NCCL and the plugin: limits,
 * shared memory, variables that get in the way.
 */
#ifndef LINA_PLUGIN_CHECK_HOST_H
#define LINA_PLUGIN_CHECK_HOST_H

#include "plugin/check_report.h"

void check_host(struct check_report *report);

/* env: as environ. Knobs out of range, rules that cannot be read, and NCCL's variables that keep
 * the plugin from being used. */
void check_environment(struct check_report *report, char *const *env);

#endif
