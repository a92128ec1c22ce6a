/*
 * How long the planner takes, and how much memory, against the numbers of experts and devices; each
 * case in a process of its own. Loads are made up, as skewed as those of a trained router (a
 * log-normal, sigma 1), the same in each run.
 * Usage: bench_plan [SECONDS]     cases after one that took so long per layer are left out; 60
 * Prints CSV: method, experts, devices, slots, milliseconds per layer, MiB in all, balance, gap.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "collectives/place.h"
#include "collectives/plan_bound.h"
#include "perf/die.h"

enum { LAYERS = 4, PER_NODE = 8, ROUNDS = 7 };

static const struct {
	int nexperts, ndevices;
} sizes[] = { { 8, 8 }, { 64, 8 }, { 64, 32 }, { 64, 64 }, { 128, 128 }, { 256, 256 }, { 512, 512 },
	{ 512, 1024 } };

static double now_ms(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}

/* Uniform in 0 to 1 (splitmix64), the same in each run. */
static double uniform(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return ((double)((z ^ (z >> 31)) >> 11) + 0.5) / 9007199254740992.0;
}

static struct lina_counts *make_loads(int nlayers, int nexperts)
{
	struct lina_counts *counts;
	uint64_t state = 1;

	if (lina_counts_create(nlayers, nexperts, &counts))
		die("no memory");
	for (int i = 0; i < nlayers * nexperts; i++)
		counts->tokens[i] = floor(1e4 * exp(sqrt(-2 * log(uniform(&state))) *
							cos(2 * M_PI * uniform(&state))));
	return counts;
}

static struct lina_place make_place(int nlayers, int nexperts, int ndevices)
{
	struct lina_fabric *fabric;

	if (lina_fabric_even(ndevices, 300, 50, &fabric))
		die("no memory");
	return (struct lina_place){ .shape = { .nlayers = nlayers,
					    .nexperts = nexperts,
					    .ndevices = ndevices,
					    .devices_per_node = PER_NODE,
					    .slots_per_device =
						    (nexperts + ndevices - 1) / ndevices + 1 },
		.score = { .counts = make_loads(nlayers, nexperts),
			.fabric = fabric,
			.model = lina_score_model_default() },
		.ngroups = 1,
		.max_moves = -1 };
}

typedef int method_fn(const struct lina_place *place, struct lina_plan **plan_p);

static int run_lina(const struct lina_place *place, struct lina_plan **plan_p)
{
	const struct lina_proportional_settings settings = lina_proportional_settings_default();

	return lina_place_proportional(place, &settings, plan_p);
}

static int run_hecate(const struct lina_place *place, struct lina_plan **plan_p)
{
	const struct lina_hecate_settings settings = lina_hecate_settings_default();

	return lina_place_hecate(place, &settings, plan_p);
}

static int run_best(const struct lina_place *place, struct lina_plan **plan_p)
{
	const struct lina_best_settings settings = lina_best_settings_default();

	return lina_place_best(place, &settings, plan_p);
}

static const struct {
	const char *name;
	method_fn *run;
} methods[] = { { "uniform", lina_place_uniform }, { "eplb", lina_place_eplb },
	{ "lina", run_lina }, { "hecate", run_hecate }, { "best", run_best } };

/* In a child: what the case takes, as a line without its end. */
static double run_case(int method, int size)
{
	struct lina_place place = make_place(LAYERS, sizes[size].nexperts, sizes[size].ndevices);
	struct lina_plan_score score;
	struct lina_plan *plan;
	struct rusage usage;
	double begin = now_ms(), ms, bound;

	if (methods[method].run(&place, &plan))
		die("%s failed", methods[method].name);
	ms = (now_ms() - begin) / LAYERS;
	(void)getrusage(RUSAGE_SELF, &usage);
	if (lina_plan_score(plan, &place.score, NULL, &score) ||
		lina_plan_bound(&place, NULL, &bound))
		die("no memory");
	(void)printf("%s,%d,%d,%d,%.4f,%.1f,%.3f,%.3f\n", methods[method].name,
		sizes[size].nexperts, sizes[size].ndevices, place.shape.slots_per_device, ms,
		(double)usage.ru_maxrss / 1024, score.balance, score.total_ns / bound - 1);
	(void)fflush(stdout);
	return ms;
}

/* Whether the case took at most limit_s per layer. */
static int run_child(int method, int size, double limit_s)
{
	pid_t child = fork();
	int status;

	if (child < 0)
		die("no process");
	if (child == 0)
		_exit(run_case(method, size) > limit_s * 1e3 ? 2 : 0);
	if (waitpid(child, &status, 0) != child || !WIFEXITED(status) || WEXITSTATUS(status) == 1)
		die("%s: the case failed", methods[method].name);
	return WEXITSTATUS(status) == 0;
}

/* Planning again at every step: 64 experts, 32 devices, 32 layers, all of which changed. */
static void run_again(enum lina_place_method method, const char *name)
{
	struct lina_place place = make_place(32, 64, 32);
	double best = INFINITY;
	struct lina_plan *plan;

	if (lina_place_uniform(&place, &plan))
		die("no memory");
	for (int r = 0; r < ROUNDS; r++) {
		double begin = now_ms();

		if (lina_place_again(&place, method, NULL, plan))
			die("%s failed", name);
		best = fmin(best, (now_ms() - begin) / 32);
	}
	(void)printf("again-%s,64,32,%d,%.4f,,,\n", name, place.shape.slots_per_device, best);
}

int main(int argc, char **argv)
{
	double limit_s = argc > 1 ? atof(argv[1]) : 60;

	(void)printf("method,experts,devices,slots,ms_per_layer,mib,balance,gap\n");
	(void)fflush(stdout);
	for (int m = 0; m < (int)(sizeof(methods) / sizeof(*methods)); m++)
		for (int s = 0; s < (int)(sizeof(sizes) / sizeof(*sizes)); s++)
			if (!run_child(m, s, limit_s))
				break;
	run_again(LINA_PLACE_EPLB, "eplb");
	run_again(LINA_PLACE_PROPORTIONAL, "lina");
	return EXIT_SUCCESS;
}
