#include "plugin/origin.h"

#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>

#include "plugin/log.h"
#include "plugin/prof.h"

/* Contexts that ask the profiler. */
static atomic_int nasking;

/* Contexts that there were. */
static _Atomic uint64_t norigins;

/* What NCCL last said on this thread, and for which context. NCCL says it just before isend or
 * irecv, and only when it differs from what it said before. */
static _Thread_local struct {
	uint64_t number;           /* of the origin; 0: nothing was said */
	struct lina_source source; /* by that alone */
} latched;

void lina_origin_open(struct lina_origin *origin, const struct lina_net_params *params,
	const struct lina_class_rules *rules)
{
	origin->params = *params;
	origin->rules = rules;
	origin->number = atomic_fetch_add(&norigins, 1) + 1;
	origin->asks =
		params->profiler && (!params->names_ops || lina_class_rules_want_name(rules));
	if (origin->asks)
		atomic_fetch_add(&nasking, 1);
	pthread_mutex_init(&origin->lock, NULL);
}

bool lina_origin_asks_profiler(void)
{
	return atomic_load(&nasking) > 0;
}

static void summary_log(struct lina_origin *origin)
{
	char text[512];

	lina_info("communicator %" PRIx64 " sent %s", origin->params.comm_id,
		lina_traffic_text(&origin->sent, text, sizeof(text)));
	lina_info("communicator %" PRIx64 " received %s", origin->params.comm_id,
		lina_traffic_text(&origin->received, text, sizeof(text)));
	lina_traffic_clear(&origin->sent);
	lina_traffic_clear(&origin->received);
}

void lina_origin_close(struct lina_origin *origin)
{
	if (origin->params.names_ops)
		summary_log(origin);
	if (origin->asks)
		atomic_fetch_sub(&nasking, 1);
	pthread_mutex_destroy(&origin->lock);
}

void lina_origin_told(const struct lina_origin *origin, uint32_t ops)
{
	const struct lina_class_facts facts = {
		.op = lina_op_of_mask(ops),
		.traffic_class = origin->params.traffic_class,
	};

	latched.number = origin->number;
	latched.source =
		(struct lina_source){ facts.op, lina_class_rules_find(origin->rules, &facts) };
}

void lina_origin_conn_add(
	struct lina_origin *origin, const struct lina_conn *conn, int traffic_class)
{
	pthread_mutex_lock(&origin->lock);
	origin->nconns++;
	if (!origin->params.names_ops)
		lina_conn_facts_add(&origin->facts, conn, traffic_class);
	pthread_mutex_unlock(&origin->lock);
}

/* The context of the ABIs that have none is closed when the library is unloaded, if ever: its
 * summary comes when nothing is connected any more. */
void lina_origin_conn_remove(struct lina_origin *origin, const struct lina_conn *conn)
{
	pthread_mutex_lock(&origin->lock);
	lina_conn_facts_remove(&origin->facts, conn);
	bool is_last = --origin->nconns == 0;
	pthread_mutex_unlock(&origin->lock);
	if (!is_last || origin->params.names_ops)
		return;
	if (!lina_traffic_is_none(&origin->sent) || !lina_traffic_is_none(&origin->received))
		summary_log(origin);
}

void lina_origin_reg(struct lina_origin *origin, const struct lina_conn *conn)
{
	if (origin->params.names_ops)
		return;
	pthread_mutex_lock(&origin->lock);
	struct lina_conn_facts *facts = lina_conn_facts_find(&origin->facts, conn);
	if (facts && facts->op < 0)
		facts->nregs++;
	pthread_mutex_unlock(&origin->lock);
}

/* What is known of a connection of an NCCL that says little of transfers. */
static void look_at_conn(
	struct lina_origin *origin, const struct lina_conn *conn, struct lina_class_facts *facts_p)
{
	pthread_mutex_lock(&origin->lock);
	struct lina_conn_facts *known = lina_conn_facts_find(&origin->facts, conn);
	if (known) {
		if (known->op < 0)
			known->op = lina_op_of_regs(known->nregs);
		if (facts_p->op < 0)
			facts_p->op = known->op;
		facts_p->traffic_class = known->traffic_class;
	}
	pthread_mutex_unlock(&origin->lock);
}

/* Where what NCCL said is not all there is to know. Kept apart: it takes registers to save. */
static __attribute__((noinline)) struct lina_source ask_around(
	struct lina_origin *origin, const struct lina_conn *conn, void *profile, int op)
{
	struct lina_class_facts facts = {
		.op = op,
		.traffic_class = origin->params.traffic_class,
	};
	if (origin->asks) {
		struct lina_prof_answer answer = lina_prof_ask(origin->params.profiler, profile);

		facts.comm_name = answer.comm_name;
		if (facts.op < 0)
			facts.op = answer.op;
	}
	if (!origin->params.names_ops)
		look_at_conn(origin, conn, &facts);
	return (struct lina_source){ facts.op, lina_class_rules_find(origin->rules, &facts) };
}

struct lina_source lina_origin_find(
	struct lina_origin *origin, const struct lina_conn *conn, void *profile)
{
	bool told = latched.number == origin->number;

	if (told && origin->params.names_ops && !origin->asks)
		return latched.source;
	return ask_around(origin, conn, profile, told ? latched.source.op : -ENOENT);
}
