#include "fake/fabric.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fake/fake.h"

struct fake_fabric fake;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void start(const struct fabric_settings *settings)
{
	memset(&fake, 0, sizeof(fake));
	fake.settings = *settings;
	fake.next_qp = FAKE_FIRST_QP;
	fake.next_mr = 1;
	TAILQ_INIT(&fake.busy);
	for (int i = 0; i < FABRIC_DEVICES_MAX; i++) {
		struct fake_device *dev = &fake.devices[i];
		dev->index = i;
		dev->up = true;
		dev->base.node_type = IBV_NODE_CA;
		dev->base.transport_type = IBV_TRANSPORT_IB;
		LIST_INIT(&dev->contexts);
		snprintf(dev->base.name, sizeof(dev->base.name), "fake%d", i);
		snprintf(dev->base.dev_name, sizeof(dev->base.dev_name), "fake_uverbs%d", i);
		snprintf(dev->base.ibdev_path, sizeof(dev->base.ibdev_path), "%.128s/fake%d",
			settings->sysfs ? settings->sysfs : "/nowhere", i);
		if (settings->device_tell)
			settings->device_tell(i, &dev->base);
	}
}

static void start_default(void)
{
	struct fabric_settings settings = fabric_defaults();
	start(&settings);
}

void fake_lock(void)
{
	pthread_once(&once, start_default);
	pthread_mutex_lock(&lock);
}

int fake_leave(int err)
{
	pthread_mutex_unlock(&lock);
	return err;
}

int fake_enter(const char *call)
{
	struct fake_script *script = &fake.script;

	fake_lock();
	fake.counts.calls++;
	if (script->call_n == 0 || (script->call && strcmp(script->call, call) != 0) ||
		--script->call_n > 0)
		return 0;
	script->met = true;
	script->met_name = call;
	return fake_leave(script->call_err);
}

/* --- what tests say and ask --- */

struct fabric_settings fabric_defaults(void)
{
	return (struct fabric_settings){
		.ndevices = 1,
		.nports = 1,
		.max_qp = 4096,
		.max_cq = 4096,
		.max_mr = 4096,
		.max_qp_wr = 4096,
		.max_sge = FABRIC_SGES_MAX,
		.max_cqe = 32767,
		.max_inline = 512,
		.max_locked_bytes = (uint64_t)1 << 40,
		.attempts = 16,
	};
}

static bool nothing_live(void)
{
	const struct fabric_live *live = &fake.live;

	return live->lists == 0 && live->contexts == 0 && live->pds == 0 && live->mrs == 0 &&
	       live->cqs == 0 && live->qps == 0 && live->events == 0 && live->locked_bytes == 0;
}

void fabric_start(const struct fabric_settings *settings)
{
	fake_lock();
	if (!nothing_live()) {
		(void)fprintf(stderr, "fabric_start: something is live\n");
		abort();
	}
	start(settings);
	(void)fake_leave(0);
}

int fabric_pump(int n)
{
	fake_lock();
	return fake_leave(fake_pump(n));
}

struct fabric_live fabric_live(void)
{
	fake_lock();
	struct fabric_live live = fake.live;
	(void)fake_leave(0);
	return live;
}

bool fabric_nothing_live(void)
{
	fake_lock();
	return fake_leave(nothing_live());
}

struct fabric_counts fabric_counts(void)
{
	fake_lock();
	struct fabric_counts counts = fake.counts;
	(void)fake_leave(0);
	return counts;
}

int fabric_posts(struct fabric_post *posts, int n)
{
	fake_lock();
	uint64_t most = fake.nposts < FABRIC_POSTS_MAX ? fake.nposts : FABRIC_POSTS_MAX;
	if ((uint64_t)n > most)
		n = (int)most;
	for (int i = 0; i < n; i++)
		posts[i] = fake.posts[(fake.nposts - (uint64_t)n + (uint64_t)i) % FABRIC_POSTS_MAX];
	return fake_leave(n);
}

void fabric_posts_forget(void)
{
	fake_lock();
	fake.nposts = 0;
	(void)fake_leave(0);
}

void fabric_fail(const char *call, long n, int err)
{
	fake_lock();
	fake.script.call = call;
	fake.script.call_n = n;
	fake.script.call_err = err;
	fake.script.met = false;
	fake.script.met_name = "";
	(void)fake_leave(0);
}

bool fabric_failed(void)
{
	fake_lock();
	return fake_leave(fake.script.met);
}

const char *fabric_failed_name(void)
{
	fake_lock();
	const char *name = fake.script.met_name;
	(void)fake_leave(0);
	return name;
}

void fabric_fail_work(long n, enum ibv_wc_status status, bool moved)
{
	fake_lock();
	fake.script.work_n = n;
	fake.script.work_status = status;
	fake.script.work_moves = moved;
	(void)fake_leave(0);
}

void fabric_lose(long n)
{
	fake_lock();
	fake.script.lose_n = n;
	(void)fake_leave(0);
}

void fabric_lose_send(long n)
{
	fake_lock();
	fake.script.lose_send_n = n;
	(void)fake_leave(0);
}

void fabric_lose_recv(long n)
{
	fake_lock();
	fake.script.lose_recv_n = n;
	(void)fake_leave(0);
}

void fabric_hold(uint32_t qp_num, bool held)
{
	fake_lock();
	if (qp_num < FAKE_KEYS && fake.qps[qp_num])
		fake.qps[qp_num]->held = held;
	(void)fake_leave(0);
}

void fabric_hold_half(int dev, bool held)
{
	fake_lock();
	for (uint32_t i = FAKE_FIRST_QP; i < FAKE_KEYS; i += 2)
		if (fake.qps[i] && fake.qps[i]->context->dev->index == dev)
			fake.qps[i]->held = held;
	(void)fake_leave(0);
}

/* --- the table --- */

static const char *event_type_str(enum ibv_event_type type)
{
	switch (type) {
	case IBV_EVENT_PORT_ERR:
		return "port error";
	case IBV_EVENT_PORT_ACTIVE:
		return "port active";
	case IBV_EVENT_DEVICE_FATAL:
		return "device fatal";
	case IBV_EVENT_CQ_ERR:
		return "CQ error";
	case IBV_EVENT_GID_CHANGE:
		return "GID table change";
	case IBV_EVENT_LID_CHANGE:
		return "LID change";
	case IBV_EVENT_QP_FATAL:
		return "local work queue catastrophic error";
	default:
		return "event";
	}
}

static const char *wc_status_str(enum ibv_wc_status status)
{
	switch (status) {
	case IBV_WC_SUCCESS:
		return "success";
	case IBV_WC_LOC_PROT_ERR:
		return "local protection error";
	case IBV_WC_WR_FLUSH_ERR:
		return "Work Request Flushed Error";
	case IBV_WC_REM_ACCESS_ERR:
		return "remote access error";
	case IBV_WC_RETRY_EXC_ERR:
		return "transport retry counter exceeded";
	case IBV_WC_RNR_RETRY_EXC_ERR:
		return "RNR retry counter exceeded";
	default:
		return "error";
	}
}

static const struct lina_verbs table = {
	.fork_init = fake_fork_init,
	.get_device_list = fake_get_device_list,
	.free_device_list = fake_free_device_list,
	.open_device = fake_open_device,
	.close_device = fake_close_device,
	.query_device = fake_query_device,
	.query_port = fake_query_port,
	.query_speed_ex = fake_query_speed_ex,
	.query_port_speed = fake_query_port_speed,
	.query_gid = fake_query_gid,
	.get_async_event = fake_get_async_event,
	.ack_async_event = fake_ack_async_event,
	.event_type_str = event_type_str,
	.alloc_pd = fake_alloc_pd,
	.dealloc_pd = fake_dealloc_pd,
	.reg_mr = fake_reg_mr,
	.reg_dmabuf_mr = fake_reg_dmabuf_mr,
	.dereg_mr = fake_dereg_mr,
	.create_cq = fake_create_cq,
	.destroy_cq = fake_destroy_cq,
	.poll_cq = fake_poll_cq,
	.wc_status_str = wc_status_str,
	.create_qp = fake_create_qp,
	.modify_qp = fake_modify_qp,
	.query_ece = fake_query_ece,
	.set_ece = fake_set_ece,
	.destroy_qp = fake_destroy_qp,
	.post_send = fake_post_send,
	.post_recv = fake_post_recv,
};

int lina_verbs_load(const struct lina_verbs **verbs_p, char *why)
{
	fake_lock();
	bool missing = fake.settings.missing;
	(void)fake_leave(0);
	if (missing) {
		snprintf(why, LINA_VERBS_WHY_BYTES, "libibverbs.so.1: the fabric has none");
		return -ENOENT;
	}
	*verbs_p = &table;
	return 0;
}
