/* Memory of a GPU, which the NIC reaches by a dmabuf and the processor does not. */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fake/fabric.h"
#include "net/cases.h"

enum { ROOM = 1 << 20, TAG = 3 };

/* Whoever looks at the address itself is killed. */
struct gpu {
	void *address;
	uint8_t *bytes; /* what the NIC sees there */
	int fd;
	struct lina_mr *mr;
};

static void gpu_open(struct gpu *gpu, struct lina_conn *conn)
{
	gpu->fd = memfd_create("gpu", MFD_CLOEXEC);
	assert_true(gpu->fd >= 0 && ftruncate(gpu->fd, ROOM) == 0);
	gpu->address = mmap(NULL, ROOM, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	gpu->bytes = mmap(NULL, ROOM, PROT_READ | PROT_WRITE, MAP_SHARED, gpu->fd, 0);
	assert_true(gpu->address != MAP_FAILED && gpu->bytes != MAP_FAILED);
	MUST(lina_net_reg(conn, gpu->address, ROOM, LINA_PTR_CUDA, 0, gpu->fd, &gpu->mr));
}

static void gpu_close(struct gpu *gpu, struct lina_conn *conn)
{
	MUST(lina_net_dereg(conn, gpu->mr));
	assert_int_equal(munmap(gpu->address, ROOM), 0);
	assert_int_equal(munmap(gpu->bytes, ROOM), 0);
	(void)close(gpu->fd);
}

static void goes(const struct gpu *from, const struct gpu *to, size_t bytes)
{
	struct lina_request *send, *recv;
	size_t room = ROOM;
	int tag = TAG;
	void *at = to->address;
	struct lina_mr *mr = to->mr;

	memset(to->bytes, 0, ROOM);
	fill(from->bytes, bytes, bytes + 1);
	MUST(lina_net_recv(pair.recv, 1, &at, &room, &tag, &mr, NULL, &recv));
	MUST(lina_net_send(pair.send, from->address, bytes, tag, from->mr, NULL, &send));
	assert_non_null(recv);
	assert_non_null(send);
	MUST(finish_both(send, recv, LIMIT_MS));
	assert_true(is_filled(to->bytes, bytes, bytes + 1));
}

/* A request takes few bytes along where the processor reads them: here it cannot. */
static void messages_of_all_sizes_arrive(void **state)
{
	static const char *const classes[] = { "LINA_CLASSES=all=bulk",
		"LINA_CLASSES=all=latency" };
	struct fabric_settings fabric = fabric_defaults();
	struct gpu from, to;

	(void)state;
	for (int i = 0; i < 2; i++) {
		fabric_start(&fabric);
		pair_open(classes[i], &pair);
		gpu_open(&from, pair.send);
		gpu_open(&to, pair.recv);
		for (size_t bytes = 1; bytes <= ROOM; bytes *= 2)
			goes(&from, &to, bytes);
		goes(&from, &to, 0);
		assert_true(fabric_counts().inlined > 0); /* what is the host's own */
		gpu_close(&from, pair.send);
		gpu_close(&to, pair.recv);
		pair_close(&pair);
	}
}

/* One read by each rail does for all buffers of a receive; none is needed where nothing has come.
 */
static void a_group_is_read_back_once(void **state)
{
	struct fabric_settings fabric = fabric_defaults();
	struct lina_request *flush = NULL;
	struct gpu gpu;

	(void)state;
	fabric_start(&fabric);
	pair_open("", &pair);
	gpu_open(&gpu, pair.recv);
	void *data[] = { gpu.address, (char *)gpu.address + 8192, (char *)gpu.address + 65536 };
	struct lina_mr *mrs[] = { gpu.mr, gpu.mr, gpu.mr };
	long reads = fabric_counts().reads;
	int qps = fabric_live().qps;
	MUST(lina_net_flush(pair.recv, 3, data, (const int[]){ 100, 4096, 0 }, mrs, &flush));
	assert_non_null(flush);
	MUST(finish_within(flush, LIMIT_MS, NULL));
	assert_int_equal(fabric_counts().reads - reads, 1);
	assert_int_equal(fabric_live().qps, qps + 1);
	MUST(lina_net_flush(pair.recv, 3, data, (const int[]){ 0, 0, 0 }, mrs, &flush));
	assert_null(flush);
	gpu_close(&gpu, pair.recv);
	pair_close(&pair);
}

/* What begins before the dmabuf does cannot be registered in whole pages. */
static void memory_before_its_dmabuf_is_refused(void **state)
{
	struct fabric_settings fabric = fabric_defaults();
	struct lina_mr *mr;
	struct gpu gpu;

	(void)state;
	fabric_start(&fabric);
	pair_open("", &pair);
	gpu_open(&gpu, pair.recv);
	assert_int_equal(lina_net_reg(pair.send, (char *)gpu.address + ROOM + 16, 100,
				 LINA_PTR_CUDA, 0, gpu.fd, &mr),
		-EINVAL);
	MUST(lina_net_reg(
		pair.send, (char *)gpu.address + ROOM + 16, 100, LINA_PTR_CUDA, 16, gpu.fd, &mr));
	MUST(lina_net_dereg(pair.send, mr));
	gpu_close(&gpu, pair.recv);
	pair_close(&pair);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(messages_of_all_sizes_arrive),
		cmocka_unit_test(a_group_is_read_back_once),
		cmocka_unit_test(memory_before_its_dmabuf_is_refused),
	};

	return cmocka_run_group_tests_name("verbs_gpu", tests, NULL, NULL);
}
