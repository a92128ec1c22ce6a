/*
 * The RDMA devices of the host: their ports, which are rails, and the devices that NCCL sees, each
 * of one port or of several that were merged.
 *
 * Threads: any; a device's lock guards what all connections share.
 */
#ifndef LINA_PLUGIN_VERBS_DEV_H
#define LINA_PLUGIN_VERBS_DEV_H

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>

#include "plugin/gid_pick.h"
#include "plugin/hca_spec.h"
#include "plugin/link.h"
#include "plugin/mr_cache.h"
#include "plugin/verbs.h"
#include "plugin/verbs_wire.h"
#include "topology/nic.h"

enum {
	VERBS_DEVICES_MAX = 64, /* that have a port of use */
	VERBS_PORTS_MAX = 64,
	VERBS_NICS_MAX = 128,
	VERBS_NAME_BYTES = 72,   /* of a port */
	VERBS_PORT_NUMBERS = 64, /* a device's ports that are told apart */
};

struct verbs_device {
	const struct lina_verbs *verbs;
	struct ibv_context *context;
	struct ibv_pd *pd;
	struct ibv_device_attr attr;
	char name[64];
	struct lina_nic nic;
	char pci_path[PATH_MAX]; /* of the whole card, for NCCL; "" where nic has none */
	bool has_dmabuf;
	_Atomic bool gone;          /* it was taken away: nothing on it works any more */
	_Atomic uint64_t down;      /* bit per port: it has no link */
	_Atomic uint64_t events_ns; /* when they were last asked for */
	pthread_mutex_t lock;
	struct lina_mr_cache cache; /* Guarded by lock */
	int nqps;                   /* of this process. Guarded by lock */
};

/* What the device's events say of a completion queue and of queue pairs: their cq_context and
 * qp_context point to one, or are NULL. It outlives them. */
struct verbs_health {
	_Atomic bool cq_failed;
	_Atomic int qp_event; /* the last enum ibv_event_type that ended a queue pair; 0: none */
};

/* What a queue pair's packets carry. */
struct verbs_address {
	union ibv_gid gid;
	uint8_t gid_index;
	uint8_t roce_version; /* 0: InfiniBand */
	uint16_t lid;
	uint8_t mtu;    /* enum ibv_mtu */
	bool needs_grh; /* InfiniBand: within the subnet too */
};

/* The part of an InfiniBand address that routers between subnets know a port by, where they do:
 * 16 bits within the subnet's prefix. 0: none. */
static inline uint16_t verbs_gid_flid(const uint8_t gid[16])
{
	return (uint16_t)(gid[4] << 8 | gid[5]);
}

struct verbs_port {
	struct verbs_device *device;
	uint8_t number;
	int card_number; /* for NCCL: no other port of the card has it */
	struct lina_hca_place place;
	char name[VERBS_NAME_BYTES];  /* the device's, with the port where it has several */
	struct ibv_port_attr attr;    /* when it was found */
	struct verbs_address address; /* as it was last; guarded by the device's lock */
	int speed_mbps;
	struct lina_link *link;
};

/* What NCCL calls a device. Does not change once it can be found. */
struct verbs_nic {
	char name[VERBS_RAILS_MAX * VERBS_NAME_BYTES];
	int nports;
	struct verbs_port *port[VERBS_RAILS_MAX];
	/* Of the nics with one of these ports each; if they never were any, its own. */
	int nindexes, index[VERBS_RAILS_MAX];
};

struct verbs_hcas {
	const struct lina_verbs *verbs;
	char first_why[LINA_VERBS_WHY_BYTES]; /* something was left out */
	int ndevices, nports;
	_Atomic int nnics;
	pthread_mutex_t lock; /* of adding nics */
	struct verbs_device device[VERBS_DEVICES_MAX];
	struct verbs_port port[VERBS_PORTS_MAX];
	struct verbs_nic nic[VERBS_NICS_MAX];
};

/* Opens every device with a port that is active and that config chooses. why
 * (LINA_VERBS_WHY_BYTES): of -ENODEV, -ENOENT. config lives until close. */
int verbs_hcas_open(const struct lina_config *config, struct verbs_hcas *hcas_p, char *why);
void verbs_hcas_close(struct verbs_hcas *hcas);

/* Makes one device of those with the numbers at devs. -EINVAL (logged): there are none such, too
 * many, or of different kinds. */
int verbs_hcas_merge(struct verbs_hcas *hcas, int ndevs, const int *devs, int *dev_p);

/* Kinds of GPU memory that the NICs of this host can reach as far as sysfs says: whether a module
 * for it is loaded. */
bool verbs_peer_memory(const char *sysfs_root);

/* Number number of device, with its link. -ENODEV: not to be used, and why
 * (LINA_VERBS_WHY_BYTES); else -EINVAL, -ENOMEM (logged). */
int verbs_port_open(const struct lina_config *config, struct verbs_device *device, uint8_t number,
	struct verbs_port *port_p, char *why);
/* As it is now: addresses change with interfaces, LIDs with the subnet's manager. */
void verbs_port_address(
	const struct lina_config *config, struct verbs_port *port, struct verbs_address *address_p);
/* Of the bits of struct ibv_port_attr. */
int verbs_speed_mbps(uint32_t speed, unsigned width);

/* Takes in what has happened to the device, as far as that has not been done a moment ago. */
void verbs_device_events(struct verbs_device *device, uint64_t now_ns);
bool verbs_port_is_down(const struct verbs_port *port);
/* Asks the device. */
bool verbs_port_is_active(const struct verbs_port *port);

/* A device that is at a limit (of memory that may be locked, of a cgroup) says -EAGAIN, which is
 * everywhere else a request to call again: it becomes -ENOMEM once it has been logged. */
static inline int verbs_final(int err)
{
	return err == -EAGAIN ? -ENOMEM : err;
}

/* What -err may mean when something cannot be made on device: its limits and this process's. */
enum { VERBS_ERROR_BYTES = 320 };
const char *verbs_error(
	struct verbs_device *device, int err, const char *what, char text[VERBS_ERROR_BYTES]);

/* --- memory --- */

enum verbs_mr_kind { VERBS_MR_DATA, VERBS_MR_DMABUF };

/* Registers the pages of bytes at data, or shares what is. fd >= 0: a dmabuf with them at offset.
 */
int verbs_mr_get(struct verbs_device *device, void *data, size_t bytes, uint64_t offset, int fd,
	bool relaxed, struct ibv_mr **mr_p);
int verbs_mr_put(struct verbs_device *device, struct ibv_mr *mr);

#endif
