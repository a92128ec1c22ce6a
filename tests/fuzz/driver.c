/*
 * Runs a target with inputs made from its good ones, the same in each run with one seed. The
 * inputs run in a child: however it ends, the parent knows the input that it ended with, says it in
 * hex and keeps it in a file, which can be given as an argument (here and to libFuzzer).
 */
#include <argp.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fuzz/fuzz.h"

enum { HANG_S = 20, MUTATIONS_MAX = 6 };

/* What the child is at. */
struct input {
	unsigned number;
	size_t size;
	uint8_t bytes[FUZZ_INPUT_MAX];
};

struct options {
	uint64_t seed;
	unsigned inputs;
	const char *file;
};

/* --- inputs --- */

/* 0 for an n of 0. */
static size_t below(uint64_t *random, size_t n)
{
	return n ? (size_t)(random_next(random) % n) : 0;
}

static uint8_t telling_byte(uint64_t *random)
{
	static const uint8_t values[] = { 0, 1, 2, 4, 7, 8, 9, 16, 0x7f, 0x80, 0xfe, 0xff };

	return values[below(random, sizeof(values))];
}

static void part_remove(struct input *in, uint64_t *random)
{
	size_t from = below(random, in->size);
	size_t n = 1 + below(random, in->size - from);

	memmove(in->bytes + from, in->bytes + from + n, in->size - from - n);
	in->size -= n;
}

/* Copies a part of the input to another place of it. */
static void part_repeat(struct input *in, uint64_t *random)
{
	uint8_t part[64];
	size_t from = below(random, in->size), to = below(random, in->size + 1);
	size_t n = 1 + below(random, sizeof(part));

	if (n > in->size - from)
		n = in->size - from;
	if (n > sizeof(in->bytes) - in->size)
		return;
	memcpy(part, in->bytes + from, n);
	memmove(in->bytes + to + n, in->bytes + to, in->size - to);
	memcpy(in->bytes + to, part, n);
	in->size += n;
}

/* Goes on with the rest of another good input. */
static void splice(struct input *in, uint64_t *random, unsigned nseeds)
{
	uint8_t other[FUZZ_INPUT_MAX];
	size_t size = fuzz_seed((unsigned)below(random, nseeds), other, sizeof(other));
	size_t from = below(random, size), to = below(random, in->size + 1);
	size_t n = size - from;

	if (n > sizeof(in->bytes) - to)
		n = sizeof(in->bytes) - to;
	memcpy(in->bytes + to, other + from, n);
	in->size = to + n;
}

static void mutate(struct input *in, uint64_t *random, unsigned nseeds)
{
	size_t at = below(random, in->size);

	switch (below(random, 8)) {
	case 0:
		part_remove(in, random);
		break;
	case 1:
		part_repeat(in, random);
		break;
	case 2:
		splice(in, random, nseeds);
		break;
	case 3:
	case 4:
		in->bytes[at] = telling_byte(random);
		break;
	case 5:
		in->bytes[at] = (uint8_t)random_next(random);
		break;
	case 6:
		in->bytes[at] = (uint8_t)(in->bytes[at] + (below(random, 2) ? 1 : -1));
		break;
	default:
		in->bytes[at] ^= (uint8_t)(1u << below(random, 8));
		break;
	}
}

static unsigned seeds_count(void)
{
	uint8_t unused[FUZZ_INPUT_MAX];
	unsigned n = 0;

	while (fuzz_seed(n, unused, sizeof(unused)))
		n++;
	if (!n)
		die("the target has no good input");
	return n;
}

/* The good inputs come first, as they are. */
static void input_make(struct input *in, unsigned number, unsigned nseeds, uint64_t *random)
{
	bool good = number < nseeds;
	unsigned seed = good ? number : (unsigned)below(random, nseeds);

	in->number = number;
	in->size = fuzz_seed(seed, in->bytes, sizeof(in->bytes));
	size_t n = good ? 0 : 1 + below(random, MUTATIONS_MAX);
	for (size_t i = 0; i < n && in->size; i++)
		mutate(in, random, nseeds);
}

/* --- runs --- */

/* Of its exact size, so that a sanitizer sees who reads past the end. */
static void input_run(const struct input *in)
{
	uint8_t *copy = malloc(in->size ? in->size : 1);

	if (!copy)
		die("no memory");
	memcpy(copy, in->bytes, in->size);
	(void)alarm(HANG_S);
	(void)LLVMFuzzerTestOneInput(copy, in->size);
	(void)alarm(0);
	free(copy);
}

static void file_read(const char *name, struct input *in)
{
	FILE *f = fopen(name, "rb");

	if (!f)
		die("%s: %s", name, strerror(errno));
	in->size = fread(in->bytes, 1, sizeof(in->bytes), f);
	(void)fclose(f);
}

static void inputs_run(const struct options *o, struct input *in)
{
	uint64_t random = o->seed;
	unsigned nseeds = seeds_count();

	if (o->file) {
		file_read(o->file, in);
		input_run(in);
		return;
	}
	for (unsigned i = 0; i < o->inputs; i++) {
		input_make(in, i, nseeds, &random);
		input_run(in);
	}
}

static void input_keep(const struct options *o, const struct input *in)
{
	char name[256];

	(void)fprintf(
		stderr, "seed %" PRIu64 ", input %u, %zu bytes: ", o->seed, in->number, in->size);
	for (size_t i = 0; i < in->size; i++)
		(void)fprintf(stderr, "%02x", in->bytes[i]);
	(void)snprintf(name, sizeof(name), "%s-%" PRIu64 "-%u.input", program_invocation_short_name,
		o->seed, in->number);
	FILE *f = fopen(name, "wb");
	if (!f || fwrite(in->bytes, 1, in->size, f) != in->size || fclose(f))
		die("\ncannot keep it in %s: %s", name, strerror(errno));
	(void)fprintf(stderr, "\nkept in %s\n", name);
}

static int outcome(const struct options *o, const struct input *in, int status)
{
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	if (WIFSIGNALED(status))
		(void)fprintf(stderr, "ended by signal %d (%s)\n", WTERMSIG(status),
			strsignal(WTERMSIG(status)));
	else
		(void)fprintf(stderr, "ended with %d\n", WEXITSTATUS(status));
	if (!o->file)
		input_keep(o, in);
	return 1;
}

static error_t option_parse(int key, char *arg, struct argp_state *state)
{
	struct options *o = state->input;

	switch (key) {
	case 's':
		o->seed = strtoull(arg, NULL, 0);
		if (!o->seed)
			argp_error(state, "--seed=%s is not a number from 1", arg);
		return 0;
	case 'n':
		o->inputs = (unsigned)strtoul(arg, NULL, 0);
		if (!o->inputs)
			argp_error(state, "--inputs=%s is not a number from 1", arg);
		return 0;
	case ARGP_KEY_ARG:
		if (o->file)
			argp_error(state, "one FILE at a time");
		o->file = arg;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

int main(int argc, char **argv)
{
	static const struct argp_option known[] = {
		{ "seed", 's', "N", 0, "Seed of the generator (1)", 0 },
		{ "inputs", 'n', "N", 0, "How many inputs to make", 0 },
		{ 0 },
	};
	static const struct argp argp = { known, option_parse, "[FILE]",
		"Runs a fuzz target with inputs of our own making, or with the one in FILE.", NULL,
		NULL, NULL };
	struct options o = { .seed = 1, .inputs = fuzz_inputs };

	if (argp_parse(&argp, argc, argv, 0, NULL, &o))
		return 1;
	struct input *in =
		mmap(NULL, sizeof(*in), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (in == MAP_FAILED)
		die("no memory");
	(void)printf("seed %" PRIu64 ", %u inputs\n", o.seed, o.file ? 1 : o.inputs);
	(void)fflush(stdout);
	pid_t child = fork();
	if (child < 0)
		die("fork: %s", strerror(errno));
	if (child == 0) {
		inputs_run(&o, in);
		return 0;
	}
	int status = 0;
	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	return outcome(&o, in, status);
}
