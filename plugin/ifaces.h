/*
 * The IP interfaces that serve as devices, chosen as NCCL chooses them.
 */
#ifndef LINA_PLUGIN_IFACES_H
#define LINA_PLUGIN_IFACES_H

#include <net/if.h>
#include <stdbool.h>

#include "plugin/config.h"
#include "plugin/wire.h"

enum { LINA_IFACES_MAX = 32 };

struct lina_iface {
	char name[IF_NAMESIZE];
	union lina_addr addr; /* port 0; of a link-local address with its scope */
};

/* Whether spec chooses name. spec is NCCL_SOCKET_IFNAME's language: a comma-separated list of
 * prefixes; a leading '^' turns the list into the names to leave out; a leading '=' (after '^' if
 * both) compares whole names; a ':' ends a name. A list without names stands for all. */
bool lina_ifspec_match(const char *spec, const char *name);

/* Finds up to LINA_IFACES_MAX interfaces that are up and have an address; one address each, IPv4
 * before IPv6 and never ::1, in the kernel's order. spec NULL or, as in NCCL, of one character: the
 * first of these that finds any: names that begin with "ib"; all but loopback, docker and virbr;
 * docker; lo; virbr (NCCL's order). family: AF_INET, AF_INET6 or AF_UNSPEC. *n_p may become 0. */
int lina_ifaces_find(const char *spec, int family, struct lina_iface *ifaces, int *n_p);

/* Those that config chooses. -ENODEV (logged): none. */
int lina_ifaces_choose(const struct lina_config *config, struct lina_iface *ifaces, int *n_p);

#endif
