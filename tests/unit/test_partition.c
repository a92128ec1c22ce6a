/* In a partitioned InfiniBand network queue pairs use the partition key that the user chose. */
#include <stdlib.h>
#include <string.h>

#include "fake/fabric.h"
#include "net/cases.h"

enum { BYTES = 4096, POSTS = 64 };

static uint8_t from[BYTES], to[BYTES];

/* Moves a message, and looks at the queue pairs of all requests that it took. */
static void all_posts_have_key(const char *settings, uint16_t index)
{
	struct fabric_settings fabric = fabric_defaults();
	struct fabric_post posts[POSTS];

	fabric.infiniband = true;
	fabric_start(&fabric);
	pair_open(settings, &pair);
	fill(from, BYTES, 1);
	struct lina_request *recv = post_recv(pair.recv, to, BYTES, 0);
	MUST(finish_both(post_send(pair.send, from, BYTES, 0), recv, LIMIT_MS));
	int n = fabric_posts(posts, POSTS);
	assert_true(n > 1); /* the credit, from one end, and the data, from the other */
	for (int i = 0; i < n; i++)
		assert_int_equal(posts[i].pkey_index, index);
	pair_close(&pair);
	assert_int_equal(unsetenv("NCCL_IB_PKEY"), 0);
}

static void key_is_the_first_or_the_chosen_one(void **state)
{
	(void)state;
	all_posts_have_key("", 0);
	all_posts_have_key("NCCL_IB_PKEY=1", 1);
	all_posts_have_key("LINA_PKEY_INDEX=0 NCCL_IB_PKEY=1", 0);
	all_posts_have_key("LINA_PKEY_INDEX=1", 1);
}

static void port_without_the_key_is_left_out(void **state)
{
	struct fabric_settings fabric = fabric_defaults();
	struct lina_net_props props;
	struct lina_net *net;

	(void)state;
	fabric.infiniband = true;
	fabric_start(&fabric);
	log_forget();
	assert_int_equal(net_open("LINA_TRANSPORT=auto LINA_PKEY_INDEX=2", &net), 0);
	assert_int_equal(lina_net_props_get(0, &props), 0);
	assert_string_equal(props.name, "lo");
	assert_int_equal(log_notes("fake0 is left out: its table of 2 partition keys has no entry "
				   "LINA_PKEY_INDEX or NCCL_IB_PKEY=2"),
		2); /* for itself, and as the reason why tcp serves */
	assert_int_equal(lina_net_close(net), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(key_is_the_first_or_the_chosen_one),
		cmocka_unit_test(port_without_the_key_is_left_out),
	};

	return cmocka_run_group_tests_name("partition", tests, NULL, NULL);
}
