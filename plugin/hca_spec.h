/*
 * Which ports of which RDMA devices to use, in the language of NCCL_IB_HCA. Pure.
 */
#ifndef LINA_PLUGIN_HCA_SPEC_H
#define LINA_PLUGIN_HCA_SPEC_H

#include <stdbool.h>

/* Whether spec chooses port (from 1) of device. spec: prefixes of device names separated by commas,
 * each with ":PORT" if only that port is meant; a leading '^' turns the list into what to leave
 * out, a leading '=' (after '^' if both) compares whole names. A list without names stands for all.
 * A port that is no number fits none. */
bool lina_hca_match(const char *spec, const char *device, int port);

#endif
