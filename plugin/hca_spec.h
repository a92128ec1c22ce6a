/*
 * Which ports of which RDMA devices to use, in the language of NCCL_IB_HCA. Pure.
 */
#ifndef LINA_PLUGIN_HCA_SPEC_H
#define LINA_PLUGIN_HCA_SPEC_H

#include <stdbool.h>
#include <stdint.h>

enum { LINA_HCA_UNSET = -1, LINA_HCA_PLANES = 14 };

/* What a list says of a port that it chooses; LINA_HCA_UNSET: nothing. */
struct lina_hca_place {
	int16_t rail;  /* 0.. */
	int16_t plane; /* 0..LINA_HCA_PLANES-1 */
};

/* Whether spec chooses port (from 1) of device, and what its first item that fits says of it
 * (place_p, always written). spec: prefixes of device names separated by commas, each with
 * ":PORT:RAIL:PLANE" or the beginning of that, where an empty field stands for all, or for nothing
 * said; a leading '^' turns the list into what to leave out, a leading '=' (after '^' if both)
 * compares whole names. A list without names stands for all. A field that is no number, or one too
 * large, fits none. */
bool lina_hca_match(const char *spec, const char *device, int port, struct lina_hca_place *place_p);

#endif
