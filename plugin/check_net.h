/*
 * A plugin as NCCL uses it, without NCCL's types: loaded by its path, through one version of the
 * net ABI. Errors are 0 or -errno; -EIO: the plugin said no (its warnings are kept, see
 * check_net_warning). Threads: one.
 */
#ifndef LINA_PLUGIN_CHECK_NET_H
#define LINA_PLUGIN_CHECK_NET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "plugin/net.h"

enum {
	CHECK_ABI_FIRST = 8,
	CHECK_ABI_LAST = 12,
	CHECK_NAME_BYTES = 64,
	CHECK_PATH_BYTES = 256,
	CHECK_WARNING_BYTES = 256
};

struct check_net;
struct check_wire; /* one direction of a connection */

struct check_device {
	char name[CHECK_NAME_BYTES], pci_path[CHECK_PATH_BYTES];
	int speed_mbps, max_comms, max_recvs;
	bool cuda, dmabuf;
};

/* Whether the library has this version's table, and all that NCCL calls in it without looking. */
bool check_net_has(const char *path, int abi);

/* Loads and initialises it. -ENOENT: no such table; -EIO. */
int check_net_open(const char *path, int abi, struct check_net **net_p);
void check_net_close(struct check_net *net);
int check_net_devices(struct check_net *net, int *ndevs_p);
int check_net_device(struct check_net *net, int dev, struct check_device *device_p);

/* The last warning that a plugin gave since the previous call, "" if none. */
const char *check_net_warning(void);

double check_now_s(void);

/* The class of what follows, as far as the ABI can say it (from 11 on). */
void check_net_class(struct check_net *net, bool bulk);

/* A listener's handle for a peer, and the two ends of what comes of it. -ETIMEDOUT; -EIO. */
int check_net_listen(struct check_net *net, int dev, uint8_t handle[LINA_HANDLE_BYTES]);
int check_net_accept(struct check_net *net, int timeout_ms, struct check_wire **in_p);
int check_net_connect(struct check_net *net, int dev, uint8_t handle[LINA_HANDLE_BYTES],
	int timeout_ms, struct check_wire **out_p);
/* Both ends at once, for a connection to oneself on dev. */
int check_net_loop(struct check_net *net, int dev, int timeout_ms, struct check_wire **out_p,
	struct check_wire **in_p);
void check_wire_close(struct check_wire *wire);

/* Starts what the wire's direction says on data, which stays untouched until it is done: -EBUSY:
 * one is under way; -EAGAIN: not now. */
int check_wire_post(struct check_wire *wire, void *data, size_t bytes);
/* 1: the transfer is done (or there is none); 0: not yet. */
int check_wire_step(struct check_wire *wire);

#endif
