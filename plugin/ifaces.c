#include "plugin/ifaces.h"

#include <errno.h>
#include <ifaddrs.h>
#include <string.h>

#include "plugin/log.h"

/* Whether list names name. A list without names stands for all; what follows a ':' (a port, in the
 * lists of hosts that NCCL reads with the same parser) is passed over. */
static bool list_has(const char *list, const char *name, bool exact)
{
	bool empty = true;

	for (const char *p = list; *p;) {
		size_t n = strcspn(p, ",:");
		if (n > 0 && strncmp(p, name, n) == 0 && (!exact || name[n] == '\0'))
			return true;
		empty = empty && n == 0;
		p += strcspn(p, ",");
		p += *p == ',';
	}
	return empty;
}

bool lina_ifspec_match(const char *spec, const char *name)
{
	bool without = *spec == '^';
	if (without)
		spec++;
	bool exact = *spec == '=';
	if (exact)
		spec++;
	return list_has(spec, name, exact) != without;
}

static bool usable(const struct ifaddrs *i, int family)
{
	const unsigned need = IFF_UP | IFF_RUNNING;
	if (!i->ifa_addr || (i->ifa_flags & need) != need)
		return false;
	int f = i->ifa_addr->sa_family;
	if (f == AF_INET6 &&
		IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)i->ifa_addr)->sin6_addr))
		return false;
	return family == AF_UNSPEC ? f == AF_INET || f == AF_INET6 : f == family;
}

static bool known(const struct lina_iface *ifaces, int n, const char *name)
{
	for (int i = 0; i < n; i++)
		if (strcmp(ifaces[i].name, name) == 0)
			return true;
	return false;
}

/* getifaddrs gives IPv4 addresses first, then global and link-local IPv6 ones: the first address of
 * a name is the best. */
static int collect(const struct ifaddrs *all, const char *spec, int family, struct lina_iface *out)
{
	int n = 0;
	for (const struct ifaddrs *i = all; i && n < LINA_IFACES_MAX; i = i->ifa_next) {
		if (!usable(i, family) || !lina_ifspec_match(spec, i->ifa_name) ||
			known(out, n, i->ifa_name))
			continue;
		memset(&out[n], 0, sizeof(out[n]));
		strncpy(out[n].name, i->ifa_name, sizeof(out[n].name) - 1);
		bool v6 = i->ifa_addr->sa_family == AF_INET6;
		memcpy(&out[n].addr, i->ifa_addr,
			v6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in));
		n++;
	}
	return n;
}

int lina_ifaces_find(const char *spec, int family, struct lina_iface *ifaces, int *n_p)
{
	static const char *const preferred[] = { "ib", "^docker,lo,virbr", "docker", "lo",
		"virbr" };
	struct ifaddrs *all;
	int n = 0;

	if (getifaddrs(&all))
		return -errno;
	if (spec && strlen(spec) > 1) {
		n = collect(all, spec, family, ifaces);
	} else {
		for (size_t i = 0; n == 0 && i < sizeof(preferred) / sizeof(*preferred); i++)
			n = collect(all, preferred[i], family, ifaces);
	}
	freeifaddrs(all);
	*n_p = n;
	return 0;
}

static int family_of(const char *text)
{
	if (strcmp(text, "AF_INET") == 0)
		return AF_INET;
	return strcmp(text, "AF_INET6") == 0 ? AF_INET6 : AF_UNSPEC;
}

int lina_ifaces_choose(const struct lina_config *config, struct lina_iface *ifaces, int *n_p)
{
	const char *spec = config->ifname[0] ? config->ifname : NULL;

	int err = lina_ifaces_find(spec, family_of(config->socket_family), ifaces, n_p);
	if (err) {
		lina_warn("cannot list the network interfaces: %s", strerror(-err));
		return err;
	}
	if (*n_p > 0)
		return 0;
	lina_warn("no interface%s%s%s%s is up and has an address",
		spec ? " that LINA_IFNAME or NCCL_SOCKET_IFNAME chooses (" : "", spec ? spec : "",
		spec ? ")" : "", config->socket_family[0] ? " of the chosen family" : "");
	return -ENODEV;
}
