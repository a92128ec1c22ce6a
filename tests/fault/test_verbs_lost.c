/* Completions that never come, and objects that fail with an event and nothing else, on RDMA
 * devices of this process: what waits for them ends all the same. */
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fault/rails.h"

enum {
	BYTES = 40000,
	SOON_MS = 900,   /* less than LINA_PEER_TIMEOUT_MS=1000 */
	BOUND_MS = 5000, /* in which all ends that waits for it once or twice */
};

/* --- of sends --- */

/* One message whose only completion at its sender is lost, over nrails. 0 or the error. */
static int completion_is_lost(struct run *r, int nrails, const char *class)
{
	struct message *m = &r->message[0];

	run_open(r, nrails, class);
	fabric_lose_send(1);
	m->bytes = BYTES;
	message_post(r, m, 1);
	uint64_t from_ms = now_ms();
	int err = messages_finish(r);
	assert_in_range(now_ms() - from_ms, SOON_MS, BOUND_MS);
	return err;
}

static void lost_completion_breaks_its_rail(void **state)
{
	struct run r;

	(void)state;
	assert_int_equal(completion_is_lost(&r, 2, "all=bulk"), 0);
	assert_true(is_filled(r.message[0].to, BYTES, 1 + BYTES));
	assert_true(log_says("LINA_PEER_TIMEOUT_MS"));
	messages_arrive(&r);
	run_close(&r);
}

static void lost_completion_of_the_only_rail_is_an_error(void **state)
{
	struct run r;

	(void)state;
	assert_int_equal(completion_is_lost(&r, 1, "all=latency"), -EIO);
	assert_true(log_says("LINA_PEER_TIMEOUT_MS"));
	assert_int_equal(fabric_live().qps, 2); /* of the receiver: the sender's are gone */
	run_close(&r);
}

/* --- of immediates --- */

/* Tests the receiver alone until its message ends, or fails. 0 or the error. */
static int receive_finish(struct message *m)
{
	int err = 0;

	for (uint64_t until_ms = now_ms() + WAIT_MS; m->recv && !err;) {
		assert_true(now_ms() < until_ms);
		err = turn(&m->recv, NULL);
	}
	return err;
}

static void sends_finish(struct run *r)
{
	for (int i = 0; i < MESSAGES; i++)
		for (uint64_t until_ms = now_ms() + WAIT_MS; r->message[i].send;) {
			assert_true(now_ms() < until_ms);
			assert_int_equal(turn(&r->message[i].send, NULL), 0);
		}
}

/* Each message is a single immediate; all have a queue pair each in common with every nrails-th. */
static void messages_begin(struct run *r, int n, long lost)
{
	fabric_lose_recv(lost);
	for (int i = 0; i < n; i++) {
		r->message[i].bytes = 1000;
		message_post(r, &r->message[i], i);
	}
	sends_finish(r);
}

/* Of each of a few messages in turn. Where another follows on its queue pair that tells, and what
 * came is read from the sender's memory; else the receiver asks when it has waited. Nobody looks
 * after the sender's end, which has been told that all is done. */
static void lost_immediate_is_read_from_the_sender(void **state)
{
	enum { NMESSAGES = 4 };
	struct run r;

	(void)state;
	for (int nrails = 1; nrails <= 2; nrails++)
		for (int cls = 0; cls < RAILS_NCLASSES; cls++)
			for (int lost = 1; lost <= NMESSAGES; lost++) {
				bool is_last = lost > NMESSAGES - nrails;
				run_open(&r, nrails, rails_classes[cls]);
				messages_begin(&r, NMESSAGES, lost);
				uint64_t from_ms = now_ms();
				for (int i = 0; i < NMESSAGES; i++) {
					assert_int_equal(receive_finish(&r.message[i]), 0);
					assert_true(is_filled(
						r.message[i].to, 1000, (uint64_t)i + 1000));
				}
				assert_in_range(now_ms() - from_ms, is_last ? 400 : 0,
					is_last ? BOUND_MS : SOON_MS);
				assert_true(log_says("lost 1 completions of receives"));
				messages_arrive(&r);
				run_close(&r);
			}
}

/* Its rail breaks when the receiver has just asked, or the completion queue with all that came by
 * it: the other rail brings the answer. */
static void lost_immediate_is_read_by_another_rail(void **state)
{
	enum { NMESSAGES = 4 };
	struct run r;

	(void)state;
	for (int cls = 0; cls < RAILS_NCLASSES; cls++)
		for (int dev = 0; dev < 2; dev++)
			for (int queue = 0; queue < 2; queue++) {
				run_open(&r, 2, rails_classes[cls]);
				messages_begin(&r, NMESSAGES, queue ? 0 : 1 + dev);
				if (queue)
					fabric_break_cqs(dev);
				else
					assert_int_equal(turn(&r.message[dev].recv, NULL), 0);
				if (!queue)
					fabric_port(dev, false);
				uint64_t from_ms = now_ms();
				for (int i = 0; i < NMESSAGES; i++)
					assert_int_equal(receive_finish(&r.message[i]), 0);
				assert_in_range(now_ms() - from_ms, 0, SOON_MS);
				assert_true(log_says("completions of receives"));
				messages_arrive(&r);
				fabric_port(dev, true);
				if (!queue)
					used_again(&r, dev);
				run_close(&r);
			}
}

/* Whatever message it is of, and whatever else comes in meanwhile. */
static void immediates_lost_at_random_cost_no_byte(void **state)
{
	enum { ROUNDS = 15 };
	struct run r;

	(void)state;
	for (int nrails = 1; nrails <= 2; nrails++)
		for (int cls = 0; cls < RAILS_NWAYS; cls++) {
			run_open(&r, nrails, rails_classes[cls]);
			for (int i = 0; i < ROUNDS; i++) {
				fabric_lose_recv((long)(1 + random_next(&r.random) % 40));
				messages_arrive(&r);
			}
			assert_true(log_says("completions of receives"));
			assert_false(log_says("broke"));
			run_close(&r);
		}
}

/* A receiver whose peer has nothing to send waits as long as it takes, and what a rail delivered in
 * a former life is not missed in a later one. */
static void late_message_is_waited_for(void **state)
{
	struct run r;

	(void)state;
	run_open(&r, 2, "all=latency");
	for (int life = 0; life < 2; life++) {
		struct message *m = &r.message[0];
		size_t room = MESSAGE_MAX_BYTES;
		void *to = m->to;
		int tag = 1;
		long reads = fabric_counts().reads;

		messages_arrive(&r);
		assert_int_equal(
			lina_net_recv(r.recv, 1, &to, &room, &tag, &m->to_mr, NULL, &m->recv), 0);
		for (uint64_t until_ms = now_ms() + (life ? 1200 : 700); now_ms() < until_ms;)
			assert_int_equal(turn(&m->recv, NULL), 0);
		assert_in_range(fabric_counts().reads - reads, 1, 2 * 2 * 3);
		assert_int_equal(
			lina_net_send(r.send, m->from, 7, 1, m->from_mr, NULL, &m->send), 0);
		sends_finish(&r);
		assert_int_equal(receive_finish(m), 0);
		fabric_port(0, false);
		messages_arrive(&r);
		fabric_port(0, true);
		used_again(&r, 0);
	}
	run_close(&r);
}

/* --- of flushes --- */

/* One of GPU memory, known by a dmabuf, in the middle of which happens happens. Its error. */
static int flush_one(void (*happens)(void), uint64_t least_ms, uint64_t most_ms)
{
	struct lina_request *flush = NULL;
	struct lina_mr *mr;
	struct run r;
	int bytes = 4096, err = 0;

	run_open(&r, 2, rails_classes[0]);
	void *data = aligned_alloc(4096, 4096);
	int fd = memfd_create("gpu", MFD_CLOEXEC);
	assert_true(fd >= 0 && ftruncate(fd, 4096) == 0);
	assert_int_equal(lina_net_reg(r.recv, data, 4096, LINA_PTR_CUDA, 0, fd, &mr), 0);
	assert_int_equal(lina_net_flush(r.recv, 1, &data, &bytes, &mr, &flush), 0);
	happens();
	uint64_t from_ms = now_ms();
	while (flush && !err) {
		assert_true(now_ms() < from_ms + WAIT_MS);
		err = turn(&flush, NULL);
	}
	assert_in_range(now_ms() - from_ms, least_ms, most_ms);
	assert_int_equal(lina_net_dereg(r.recv, mr), 0);
	run_close(&r);
	free(data);
	(void)close(fd);
	return err;
}

static void nothing_happens(void)
{
}

static void completion_goes(void)
{
	fabric_lose_send(1);
}

static void lost_flush_is_an_error(void **state)
{
	(void)state;
	assert_int_equal(flush_one(nothing_happens, 0, SOON_MS), 0);
	assert_int_equal(flush_one(completion_goes, SOON_MS, BOUND_MS), -EIO);
	assert_true(log_says("a flush has not ended within LINA_PEER_TIMEOUT_MS"));
}

/* --- events --- */

static void (*const breaks[])(int dev) = { fabric_break_cqs, fabric_break_qps };
static const char *const says[] = { "CQ error", "local work queue catastrophic error" };
enum { NBREAKS = 2 };

/* Not after several times as long as it takes for it to be tried again. */
static void never_used_again(struct run *r, int dev)
{
	messages_arrive(r);
	fabric_posts_forget();
	for (uint64_t until_ms = now_ms() + 50; now_ms() < until_ms;)
		messages_arrive(r);
	assert_int_equal(bytes_of(dev), 0);
}

/* Where there is another rail, the work goes there. Queue pairs are reset and used again, but no
 * completion queue. */
static void event_breaks_its_rail(void **state)
{
	struct run r;

	(void)state;
	for (int cls = 0; cls < RAILS_NCLASSES; cls++)
		for (int i = 0; i < NBREAKS; i++) {
			run_open(&r, 2, rails_classes[cls]);
			messages_post(&r);
			breaks[i](1);
			uint64_t from_ms = now_ms();
			assert_int_equal(messages_finish(&r), 0);
			assert_in_range(now_ms() - from_ms, 0, SOON_MS);
			messages_check(&r);
			assert_true(log_says(says[i]));
			if (breaks[i] == fabric_break_qps)
				used_again(&r, 1);
			else
				never_used_again(&r, 1);
			run_close(&r);
		}
}

static void event_on_the_only_rail_is_an_error(void **state)
{
	struct run r;

	(void)state;
	for (int i = 0; i < NBREAKS; i++) {
		run_open(&r, 1, rails_classes[i]);
		messages_post(&r);
		breaks[i](0);
		uint64_t from_ms = now_ms();
		assert_int_equal(messages_finish(&r), -EIO);
		assert_in_range(now_ms() - from_ms, 0, SOON_MS);
		assert_true(log_says(says[i]));
		run_close(&r);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lost_completion_breaks_its_rail),
		cmocka_unit_test(lost_completion_of_the_only_rail_is_an_error),
		cmocka_unit_test(lost_immediate_is_read_from_the_sender),
		cmocka_unit_test(lost_immediate_is_read_by_another_rail),
		cmocka_unit_test(immediates_lost_at_random_cost_no_byte),
		cmocka_unit_test(late_message_is_waited_for),
		cmocka_unit_test(lost_flush_is_an_error),
		cmocka_unit_test(event_breaks_its_rail),
		cmocka_unit_test(event_on_the_only_rail_is_an_error),
	};
	return cmocka_run_group_tests_name("verbs_lost", tests, NULL, NULL);
}
