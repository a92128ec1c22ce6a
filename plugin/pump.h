/*
 * The thread of a link that hands down what may go when the threads that own it are late.
 *
 * NCCL's proxy threads look after their transfers in turns, and share processors with much else.
 * Where one comes round after a millisecond, a link whose window holds less has run dry meanwhile;
 * a larger window would be ahead of every all-to-all. A thread that sleeps most of the time is run
 * soon after it wakes, so this one looks in between, and sleeps for good while nothing is kept
 * back. It takes no signal, and ends with the library where somebody leaves a pump open.
 *
 * Threads: any. A member's lock is taken before the pump's; the pump itself only tries members'.
 */
#ifndef LINA_PLUGIN_PUMP_H
#define LINA_PLUGIN_PUMP_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

struct lina_pump;

/* Who may have something kept back: the sending end of a connection. */
struct lina_pumped {
	TAILQ_ENTRY(lina_pumped) link; /* Guarded by the pump's lock */
	struct lina_pump *pump;        /* NULL: its owner is alone */
	pthread_mutex_t lock;          /* held by whoever does something with the member */
	/* Hands down what may go, with the lock held, and says whether more is kept back. */
	void (*push)(struct lina_pumped *member);
	_Atomic bool wants;
};

/* name: the link's, for messages and the thread. -ENOMEM. */
int lina_pump_open(const char *name, struct lina_pump **pump_p);

/* Ends the thread. After the last member was removed. NULL is allowed. */
void lina_pump_close(struct lina_pump *pump);

/* How long it waits from one look to the next while something is kept back. */
void lina_pump_pace(struct lina_pump *pump, uint64_t ns);

/* pump: NULL is allowed. The first member starts the thread; where there can be none, it is said
 * once, and what is kept back goes when its owner looks. */
void lina_pump_add(struct lina_pump *pump, struct lina_pumped *member,
	void (*push)(struct lina_pumped *member));

/* Without the member's lock. Nobody is in push any more, nor will be. */
void lina_pump_remove(struct lina_pumped *member);

/* Whether something of the member is kept back, with its lock held. */
void lina_pump_wants(struct lina_pumped *member, bool wants);

#endif
