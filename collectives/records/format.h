/* What a format of records is to records.c, and what the formats share. */
#ifndef LINA_COLLECTIVES_RECORDS_FORMAT_H
#define LINA_COLLECTIVES_RECORDS_FORMAT_H

#include "collectives/records/records.h"

struct lina_records_ops {
	/* The first n bytes of a file that has more than that only where n is LOOK_BYTES. */
	bool (*knows)(const char *bytes, size_t n);
	int (*open)(struct lina_input *in, const struct lina_records_options *options,
		void **state_p, struct lina_plan_text_fault *fault_p);
	int (*next)(void *state, struct lina_input *in, struct lina_record *record_p,
		struct lina_plan_text_fault *fault_p);
	void (*close)(void *state);
};

enum { LINA_RECORDS_LOOK_BYTES = 4096 };

extern const struct lina_records_ops lina_records_megatron;
extern const struct lina_records_ops lina_records_vllm;
extern const struct lina_records_ops lina_records_counts;
extern const struct lina_records_ops lina_records_csv;

/* "no memory" to *fault_p; -ENOMEM. */
int lina_records_no_memory(struct lina_plan_text_fault *fault_p);

/* Text of n characters as one may print it: out has room for room with the zero. */
void lina_records_printable(const char *text, size_t n, char *out, size_t room);

/* An array of ints that grows: room for n. -ENOMEM. */
struct lina_ints {
	int *at;
	size_t room;
};
int lina_ints_reserve(struct lina_ints *ints, size_t n, struct lina_plan_text_fault *fault_p);

#endif
