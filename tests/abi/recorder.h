/*
 * A core that does nothing but write down what it is called with and return what it is told to. The
 * adapters are loaded as a module of their own and find it in the program.
 */
#ifndef LINA_TESTS_ABI_RECORDER_H
#define LINA_TESTS_ABI_RECORDER_H

#include <stdatomic.h>

#include "plugin/net.h"

enum recorded {
	REC_NONE,
	REC_OPEN,
	REC_CLOSE,
	REC_COUNT,
	REC_PROPS,
	REC_MERGE,
	REC_ATTR,
	REC_LISTEN,
	REC_CONNECT,
	REC_ACCEPT,
	REC_REG,
	REC_DEREG,
	REC_SEND,
	REC_RECV,
	REC_FLUSH,
	REC_TEST,
	REC_CLOSE_SEND,
	REC_CLOSE_RECV,
	REC_CLOSE_LISTEN
};

/* What calls take and make; the recorder never looks at what such a pointer points to. */
enum { REC_NOBJECTS = 64 };
extern char rec_objects[REC_NOBJECTS];

struct recorder {
	/* Told by the test. */
	int result;                  /* of every call but open and close */
	int open_result;             /* of lina_net_open */
	void *made;                  /* what a call makes if result is 0 */
	int ndev;                    /* of lina_net_count and lina_net_merge */
	struct lina_net_props props; /* of lina_net_props_get */
	int done, test_bytes[LINA_RECVS_MAX], ntest_bytes; /* of lina_net_test */
	int close_fd; /* gets a byte when a context is closed; -1: none */

	/* Counted from rec_reset on. Atomic, as contexts are opened by several threads at once. */
	atomic_int nopens, ncloses;

	/* Of the last call, by the name that plugin/net.h gives to an argument; object is the
	 * first. */
	enum recorded call;
	void *object, *handle, *data, *mr, *profile;
	int dev, traffic_class, type, fd, tag, n;
	size_t bytes;
	uint64_t offset;
	struct lina_net_params params;
	struct lina_net_attr attr;
	void *datas[LINA_RECVS_MAX], *mrs[LINA_RECVS_MAX], *profiles[LINA_RECVS_MAX];
	size_t sizes[LINA_RECVS_MAX];
	int tags[LINA_RECVS_MAX], devs[LINA_VDEV_MAX];
	bool has_profiles, has_bytes;
};
extern struct recorder rec;

/* Nothing recorded, success told, objects[0] made. */
void rec_reset(void);

/* Forgets the last call, so that another of the same kind is seen. */
void rec_forget(void);

#endif
