#include "plugin/route.h"

#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <unistd.h>

enum { ANSWER_BYTES = 2048 };

/* RTM_GETROUTE, with room for two addresses. */
struct question {
	struct nlmsghdr head;
	struct rtmsg route;
	uint8_t attributes[2 * RTA_SPACE(sizeof(struct in6_addr))];
};

static void address_add(struct question *q, unsigned short type, const union lina_addr *addr)
{
	bool v6 = addr->sa.sa_family == AF_INET6;
	const void *bytes = v6 ? (const void *)&addr->in6.sin6_addr : &addr->in.sin_addr;
	size_t n = v6 ? sizeof(addr->in6.sin6_addr) : sizeof(addr->in.sin_addr);
	struct rtattr *a = (struct rtattr *)((char *)q + NLMSG_ALIGN(q->head.nlmsg_len));

	a->rta_type = type;
	a->rta_len = (unsigned short)RTA_LENGTH(n);
	memcpy(RTA_DATA(a), bytes, n);
	q->head.nlmsg_len = NLMSG_ALIGN(q->head.nlmsg_len) + RTA_ALIGN(a->rta_len);
	if (type == RTA_DST)
		q->route.rtm_dst_len = (unsigned char)(8 * n);
	else
		q->route.rtm_src_len = (unsigned char)(8 * n);
}

/* The kernel answers before send returns. */
static ssize_t ask(int fd, const struct question *q, void *answer)
{
	if (send(fd, q, q->head.nlmsg_len, 0) < 0)
		return -errno;
	ssize_t n = recv(fd, answer, ANSWER_BYTES, MSG_DONTWAIT);
	return n < 0 ? -errno : n;
}

/* The interface of the answer; 0: it has none. */
static int interface_of(const struct nlmsghdr *head, size_t nbytes)
{
	int interface = 0;

	if (!NLMSG_OK(head, nbytes) || head->nlmsg_type != RTM_NEWROUTE)
		return 0;
	unsigned left = (unsigned)RTM_PAYLOAD(head);
	for (const struct rtattr *a = RTM_RTA(NLMSG_DATA(head)); RTA_OK(a, left);
		a = RTA_NEXT(a, left))
		if (a->rta_type == RTA_OIF && RTA_PAYLOAD(a) == sizeof(interface))
			memcpy(&interface, RTA_DATA(a), sizeof(interface));
	return interface;
}

/* By which packets to to leave, from NULL: of whatever source; 0: not known. */
static int leaves_by(int fd, const union lina_addr *from, const union lina_addr *to)
{
	struct question q = {
		.head = { .nlmsg_len = NLMSG_LENGTH(sizeof(q.route)),
			.nlmsg_type = RTM_GETROUTE,
			.nlmsg_flags = NLM_F_REQUEST },
		.route = { .rtm_family = (unsigned char)to->sa.sa_family },
	};
	union {
		struct nlmsghdr head;
		uint8_t bytes[ANSWER_BYTES];
	} answer = { .bytes = { 0 } };

	address_add(&q, RTA_DST, to);
	if (from)
		address_add(&q, RTA_SRC, from);
	ssize_t n = ask(fd, &q, &answer);
	return n > 0 ? interface_of(&answer.head, (size_t)n) : 0;
}

bool lina_route_is_by_source(const union lina_addr *from, const union lina_addr *to)
{
	if (from->sa.sa_family != to->sa.sa_family)
		return false;
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	if (fd < 0)
		return false;
	int by_source = leaves_by(fd, from, to);
	bool differs = by_source && by_source != leaves_by(fd, NULL, to);
	(void)close(fd);
	return differs;
}
