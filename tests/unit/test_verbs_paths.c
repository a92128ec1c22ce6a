/* Which way the packets of a queue pair go: addresses of both ends, subnets, size. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fake/fabric.h"
#include "net/cases.h"

enum { BYTES = 4096, POSTS = 64, HERE = 0, THERE = 1, EVENTS_MS = 100 };

static uint8_t from[BYTES], to[BYTES];

/* What the case that runs says of ports and addresses. */
static int gid_shift;
static uint16_t lid_more;
/* What the user wants of connections. */
static int traffic_class = LINA_TRAFFIC_CLASS_UNSET;

/* A message from device HERE to device THERE. */
static void message_goes(struct lina_net *net)
{
	uint8_t handle[LINA_HANDLE_BYTES];
	struct lina_listener *listener;
	struct pair ends = { .net = net };

	MUST(lina_net_listen(net, THERE, handle, &listener));
	while (!ends.send || !ends.recv) {
		if (!ends.send)
			MUST(lina_net_connect(net, HERE, traffic_class, handle, &ends.send));
		if (!ends.recv)
			MUST(lina_net_accept(listener, &ends.recv));
	}
	fill(from, BYTES, 1);
	memset(to, 0, BYTES);
	struct lina_request *recv = post_recv(ends.recv, to, BYTES, 0);
	MUST(finish_both(post_send(ends.send, from, BYTES, 0), recv, LIMIT_MS));
	assert_true(is_filled(to, BYTES, 1));
	MUST(lina_net_close_send(ends.send));
	MUST(lina_net_close_recv(ends.recv));
	MUST(lina_net_close_listen(listener));
}

/* The path of what dev sent in it. */
static struct fabric_post path_of(int dev)
{
	struct fabric_post posts[POSTS];
	int n = fabric_posts(posts, POSTS);

	for (int i = 0; i < n; i++)
		if (posts[i].dev == dev)
			return posts[i];
	fail_msg("device %d has sent nothing", dev);
	return posts[0];
}

static struct lina_net *open_two(const struct fabric_settings *like, const char *settings)
{
	struct fabric_settings fabric = *like;
	struct lina_net *net;

	gid_shift = 0;
	lid_more = 0;
	fabric.ndevices = 2;
	fabric_start(&fabric);
	log_forget();
	MUST(net_open(settings, &net));
	return net;
}

static void close_all(struct lina_net *net)
{
	MUST(lina_net_close(net));
	assert_true(fabric_nothing_live());
	(void)unsetenv("NCCL_IB_GID_INDEX");
}

static struct fabric_settings infiniband(void)
{
	struct fabric_settings fabric = fabric_defaults();

	fabric.infiniband = true;
	return fabric;
}

/* --- InfiniBand --- */

static void within_a_subnet_lids_do(void **state)
{
	struct fabric_settings fabric = infiniband();
	struct lina_net *net = open_two(&fabric, "");

	(void)state;
	message_goes(net);
	assert_int_equal(path_of(HERE).dlid, THERE + 1);
	assert_int_equal(path_of(THERE).dlid, HERE + 1);
	assert_false(path_of(HERE).is_global);
	close_all(net);
}

/* It is often set for the RoCE hosts of a site, and NCCL does not heed it here either. */
static void an_index_for_roce_leaves_infiniband_alone(void **state)
{
	struct fabric_settings fabric = infiniband();
	struct lina_net *net = open_two(&fabric, "NCCL_IB_GID_INDEX=3");

	(void)state;
	message_goes(net);
	close_all(net);
}

static void grh_tell(int dev, int port, struct ibv_port_attr *attr)
{
	(void)port;
	if (dev == HERE)
		attr->flags = IBV_QPF_GRH_REQUIRED;
}

static void a_port_that_needs_global_headers_has_them(void **state)
{
	struct fabric_settings fabric = infiniband();

	(void)state;
	fabric.port_tell = grh_tell;
	struct lina_net *net = open_two(&fabric, "");
	message_goes(net);
	assert_true(path_of(HERE).is_global);
	assert_false(path_of(THERE).is_global);
	assert_int_equal(path_of(HERE).dlid, THERE + 1);
	close_all(net);
}

/* Entry 1 has what routers know the port by, 0x4000 and its number; subnets are 1 and 2. */
static void routed_tell(int dev, uint32_t index, union ibv_gid *gid)
{
	if (index > 1)
		return;
	*gid = (union ibv_gid){
		.raw = { 0xfe, 0x80, [7] = (uint8_t)(dev + 1), [15] = (uint8_t)(dev + 1) }
	};
	if (index == 1) {
		gid->raw[4] = 0x40;
		gid->raw[5] = (uint8_t)dev;
	}
}

static void between_subnets_routers_are_addressed(void **state)
{
	struct fabric_settings fabric = infiniband();

	(void)state;
	fabric.gid_tell = routed_tell;
	struct lina_net *net = open_two(&fabric, "");
	message_goes(net);
	assert_true(path_of(HERE).is_global && path_of(THERE).is_global);
	assert_int_equal(path_of(HERE).dlid, 0x4000 + THERE);
	assert_int_equal(path_of(THERE).dlid, 0x4000 + HERE);
	assert_int_equal(path_of(HERE).sgid_index, 1);
	close_all(net);
	/* Without such entries the subnet's manager sees to it. */
	net = open_two(&fabric, "LINA_FLID_GID_INDEX=3");
	message_goes(net);
	assert_true(path_of(HERE).is_global);
	assert_int_equal(path_of(HERE).dlid, THERE + 1);
	assert_int_equal(path_of(HERE).sgid_index, 0);
	close_all(net);
}

/* Ports of one subnet, known to routers by numbers of their own. */
static void one_subnet_tell(int dev, uint32_t index, union ibv_gid *gid)
{
	routed_tell(dev, index, gid);
	gid->raw[7] = index < 2 ? 1 : 0;
}

static void numbers_for_routers_make_no_subnets(void **state)
{
	struct fabric_settings fabric = infiniband();

	(void)state;
	fabric.gid_tell = one_subnet_tell;
	struct lina_net *net = open_two(&fabric, "");
	message_goes(net);
	assert_false(path_of(HERE).is_global);
	assert_int_equal(path_of(HERE).dlid, THERE + 1);
	close_all(net);
}

static void lids_tell(int dev, int port, struct ibv_port_attr *attr)
{
	(void)port;
	if (dev == THERE)
		attr->lid = (uint16_t)(attr->lid + lid_more);
}

/* A subnet's manager that begins anew may give other LIDs. */
static void a_new_lid_holds_for_new_connections(void **state)
{
	struct fabric_settings fabric = infiniband();

	(void)state;
	fabric.port_tell = lids_tell;
	struct lina_net *net = open_two(&fabric, "");
	message_goes(net);
	lid_more = FABRIC_DEVICES_MAX;
	fabric_posts_forget();
	message_goes(net);
	assert_int_equal(path_of(HERE).dlid, THERE + 1 + FABRIC_DEVICES_MAX);
	close_all(net);
}

/* --- RoCE --- */

/* Entries of IPv4 move up by gid_shift, as where an interface was given its address anew. */
static void moved_tell(int dev, uint32_t index, union ibv_gid *gid)
{
	static const union ibv_gid none;
	uint32_t first = 2 + (uint32_t)gid_shift;

	if (index < 2)
		return;
	*gid = none;
	if (index == first || index == first + 1)
		*gid = (union ibv_gid){ .raw = { [10] = 0xff, 0xff, 10, (uint8_t)dev, 0, 1 } };
}

static void an_address_that_moved_is_found_again(void **state)
{
	struct fabric_settings fabric = fabric_defaults();

	(void)state;
	fabric.gid_tell = moved_tell;
	struct lina_net *net = open_two(&fabric, "");
	message_goes(net);
	assert_int_equal(path_of(HERE).sgid_index, 3);
	gid_shift = 2;
	fabric_posts_forget();
	message_goes(net);
	assert_int_equal(path_of(HERE).sgid_index, 5);
	assert_int_equal(log_notes("fake0: its address is number 5 now"), 1);
	message_goes(net);
	assert_int_equal(log_notes("fake0: its address is number 5 now"), 1);
	close_all(net);
}

/* Who waits for something hears of it, and goes on. */
static void changes_are_told(void **state)
{
	static const enum ibv_event_type types[] = { IBV_EVENT_GID_CHANGE, IBV_EVENT_LID_CHANGE,
		IBV_EVENT_SM_CHANGE };
	struct fabric_settings fabric = fabric_defaults();

	(void)state;
	fabric_start(&fabric);
	pair_open("", &pair);
	log_forget();
	struct lina_request *recv = post_recv(pair.recv, to, BYTES, 0);
	for (size_t i = 0; i < sizeof(types) / sizeof(*types); i++)
		fabric_tell(0, types[i]);
	assert_int_equal(finish_within(recv, EVENTS_MS, NULL), -EAGAIN);
	assert_int_equal(log_notes("fake0 port 1: GID table change"), 1);
	assert_int_equal(log_notes("fake0 port 1: LID change"), 1);
	assert_int_equal(log_notes("fake0 port 1"), 2);
	assert_int_equal(log_warnings(), 0);
	MUST(finish_both(post_send(pair.send, from, BYTES, 0), recv, LIMIT_MS));
	pair_close(&pair);
}

/* The kernel finds the peer's hardware address at the second attempt, whoever asks for it: queue
 * pairs are changed 6 times at each end. */
static void an_answer_that_is_late_is_waited_for(void **state)
{
	enum { CHANGES = 12 };
	struct fabric_settings fabric = fabric_defaults();

	(void)state;
	for (int n = 1; n <= CHANGES; n++) {
		struct lina_net *net = open_two(&fabric, "");
		fabric_fail("modify_qp", n, -ETIMEDOUT);
		message_goes(net);
		assert_true(fabric_failed());
		assert_int_equal(log_notes("a queue pair does not connect"), 1);
		assert_int_equal(log_warnings(), 0);
		close_all(net);
	}
}

static void mtu_tell(int dev, int port, struct ibv_port_attr *attr)
{
	(void)port;
	attr->active_mtu = dev == HERE ? IBV_MTU_4096 : IBV_MTU_1024;
}

static void the_smaller_mtu_holds_at_both_ends(void **state)
{
	struct fabric_settings fabric = fabric_defaults();

	(void)state;
	fabric.port_tell = mtu_tell;
	struct lina_net *net = open_two(&fabric, "");
	message_goes(net);
	assert_int_equal(path_of(HERE).mtu, IBV_MTU_1024);
	assert_int_equal(path_of(THERE).mtu, IBV_MTU_1024);
	close_all(net);
}

/* The other end has only addresses of version 1. */
static void versions_tell(int dev, uint32_t index, union ibv_gid *gid)
{
	static const union ibv_gid none;

	if (dev == THERE && index % 2)
		*gid = none;
}

static void ends_of_two_versions_are_told(void **state)
{
	struct fabric_settings fabric = fabric_defaults();

	(void)state;
	fabric.gid_tell = versions_tell;
	struct lina_net *net = open_two(&fabric, "");
	message_goes(net);
	assert_int_equal(log_notes("fake0 (address 3) is of RoCE v2 and the peer's of v1"), 1);
	close_all(net);
}

/* --- classes --- */

static void class_is(bool is_infiniband, int wanted, const char *settings, int level, int traffic)
{
	struct fabric_settings fabric = fabric_defaults();

	fabric.infiniband = is_infiniband;
	struct lina_net *net = open_two(&fabric, settings);
	traffic_class = wanted;
	message_goes(net);
	traffic_class = LINA_TRAFFIC_CLASS_UNSET;
	for (int dev = HERE; dev <= THERE; dev++) {
		assert_int_equal(path_of(dev).service_level, level);
		if (!is_infiniband)
			assert_int_equal(path_of(dev).traffic_class, traffic);
	}
	close_all(net);
	(void)unsetenv("NCCL_IB_SL");
	(void)unsetenv("NCCL_IB_TC");
}

/* As with NCCL's own transport: its variables go before the communicator's class. Ours can tell
 * latency traffic from bulk, of which there is none here but the credit. */
static void the_users_classes_are_on_the_packets(void **state)
{
	(void)state;
	class_is(false, LINA_TRAFFIC_CLASS_UNSET, "", 0, 0);
	class_is(false, 96, "", 0, 96);
	class_is(false, 96, "NCCL_IB_TC=-1 NCCL_IB_SL=-1", 0, 96);
	class_is(false, 96, "NCCL_IB_TC=32 NCCL_IB_SL=3", 3, 32);
	class_is(false, 96, "LINA_LATENCY_TC=8 LINA_CLASSES=all=latency NCCL_IB_TC=32", 0, 8);
	class_is(true, LINA_TRAFFIC_CLASS_UNSET, "", 0, 0);
	class_is(true, 5, "", 5, 0);
	class_is(true, 5, "NCCL_IB_SL=2", 2, 0);
	class_is(true, 96, "", 0, 0); /* no level has that number */
	class_is(false, 300, "", 0, 0);
	assert_int_equal(log_notes("traffic class 300 is none that packets can have"), 1);
}

/* --- what vendors add --- */

static uint32_t vendor_there;

static void ece_tell(int dev, struct ibv_ece *ece)
{
	*ece = (struct ibv_ece){ .vendor_id = dev == HERE ? 0x2c9 : vendor_there,
		.options = dev == HERE ? 6 : 3 };
}

static void ends_agree_on(const char *settings, uint32_t vendor, uint32_t options)
{
	struct fabric_settings fabric = fabric_defaults();

	vendor_there = vendor;
	fabric.ece_tell = ece_tell;
	struct lina_net *net = open_two(&fabric, settings);
	message_goes(net);
	assert_int_equal(path_of(HERE).ece, options);
	assert_int_equal(path_of(THERE).ece, options);
	assert_int_equal(log_warnings(), 0);
	close_all(net);
	(void)unsetenv("NCCL_IB_ECE_ENABLE");
}

static void ends_use_what_both_can(void **state)
{
	(void)state;
	ends_agree_on("", 0x2c9, 2);
	ends_agree_on("", 0x14e4, 0); /* another vendor's */
	ends_agree_on("", 0, 0);      /* an old one */
	ends_agree_on("NCCL_IB_ECE_ENABLE=0", 0x2c9, 0);
}

static void kinds_tell(int dev, int port, struct ibv_port_attr *attr)
{
	(void)port;
	if (dev == THERE)
		attr->link_layer = IBV_LINK_LAYER_INFINIBAND;
}

static void infiniband_and_roce_do_not_meet(void **state)
{
	struct fabric_settings fabric = fabric_defaults();
	uint8_t handle[LINA_HANDLE_BYTES];
	struct lina_listener *listener;
	struct lina_conn *send = NULL, *recv = NULL;
	int err = 0;

	(void)state;
	fabric.port_tell = kinds_tell;
	struct lina_net *net = open_two(&fabric, "");
	MUST(lina_net_listen(net, THERE, handle, &listener));
	while (!err) {
		err = lina_net_connect(net, HERE, LINA_TRAFFIC_CLASS_UNSET, handle, &send);
		if (!err || err == -EAGAIN)
			err = lina_net_accept(listener, &recv);
		assert_true(!send && !recv);
	}
	assert_true(log_says("fake1 is InfiniBand and the peer's port is not"));
	MUST(lina_net_close_listen(listener));
	close_all(net);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(within_a_subnet_lids_do),
		cmocka_unit_test(an_index_for_roce_leaves_infiniband_alone),
		cmocka_unit_test(a_port_that_needs_global_headers_has_them),
		cmocka_unit_test(between_subnets_routers_are_addressed),
		cmocka_unit_test(numbers_for_routers_make_no_subnets),
		cmocka_unit_test(a_new_lid_holds_for_new_connections),
		cmocka_unit_test(an_address_that_moved_is_found_again),
		cmocka_unit_test(changes_are_told),
		cmocka_unit_test(an_answer_that_is_late_is_waited_for),
		cmocka_unit_test(the_smaller_mtu_holds_at_both_ends),
		cmocka_unit_test(ends_of_two_versions_are_told),
		cmocka_unit_test(the_users_classes_are_on_the_packets),
		cmocka_unit_test(ends_use_what_both_can),
		cmocka_unit_test(infiniband_and_roce_do_not_meet),
	};

	return cmocka_run_group_tests_name("verbs_paths", tests, NULL, NULL);
}
