#include "exec_pat.h"

#define MIN(a, b) ((a) < (b) ? (a) : (b))

/* Phases of the reduce-scatter, in this order; LEAF and FORWARD alternate. */
enum { LEAF, FORWARD, FOLD_NEAR, FOLD_FAR, FINISH };
/* Phases of the all-gather: SPREAD first, then SHARE and TAKE alternate. */
enum { TAKE, SHARE, SPREAD };

static int low_dim(int distance)
{
	return __builtin_ctz((unsigned)distance);
}

static int dim_of(int distance)
{
	return distance ? low_dim(distance) : PAT_OWN;
}

/* The bits of i, of which there are as many as below max, in reverse order and inverted. */
static int mirror_inverted(int i, int max)
{
	int mirrored = 0;
	for (int bit = 1, mirror = max / 2; bit < max; bit <<= 1, mirror >>= 1)
		mirrored += i & bit ? 0 : mirror;
	return mirrored;
}

/* Where the data of the rank at a distance is, among the data of all ranks. */
static int64_t data_of(const struct exec_pat_schedule *s, int distance)
{
	return (s->rank + s->nranks + distance) % s->nranks * s->count + s->offset;
}

static bool slot_full(const struct exec_pat_schedule *s, int64_t i)
{
	return i % s->per_slot == s->per_slot - 1;
}

static int64_t slot_at(const struct exec_pat_schedule *s, int64_t i, int64_t n)
{
	return i % s->per_slot * n;
}

bool exec_pat_schedule_init(struct exec_pat_schedule *s, size_t elem_bytes)
{
	int64_t part_bytes = (s->end - s->offset) * (int64_t)elem_bytes;
	int64_t slot_bytes = (int32_t)(s->chunk * (int64_t)elem_bytes);
	if (part_bytes <= 0)
		return false;
	int span = 1;
	while (span < s->nranks)
		span *= 2;
	s->strands = 1;
	while (slot_bytes / (part_bytes * s->strands) >= 2 && s->strands < s->nranks / 2)
		s->strands *= 2;
	s->per_slot = s->strands;
	for (int depth = ABI_STEPS; depth > 1 && s->strands < s->nranks / 2; depth /= 2)
		s->strands *= 2;
	s->stride = span / s->strands;
	return true;
}

/* ---- reduce-scatter ---- */

/* Strands of the phase at hand. */
static int scatter_strands(const struct exec_pat_schedule *s)
{
	return s->phase == FINISH      ? 1
	       : s->phase >= FOLD_NEAR ? s->strands / (2 * s->scale)
				       : s->strands;
}

static void scatter_phase(struct exec_pat_schedule *s, int phase)
{
	s->phase = phase;
	s->strand = 0;
	s->skipped = 0;
	s->ahead = 0;
}

void exec_pat_scatter_begin(struct exec_pat_schedule *s)
{
	s->scale = 1;
	s->distance = s->stride - 1;
	scatter_phase(s, LEAF);
}

/* From this strand on the pieces go to another peer, whose slots begin anew. */
static void peer_change(struct exec_pat_schedule *s, int strands)
{
	int left = strands - s->strand;
	if (left & (left - 1))
		return;
	s->skipped = s->strand;
	s->ahead = 0;
}

/* The rank at this distance does not exist, but the next on the way does: nothing comes in. */
static bool nothing_in(struct exec_pat_step *step, bool missing, bool next_missing)
{
	if (!missing || next_missing)
		return missing;
	step->recv_dim = PAT_OWN;
	step->recv_last = false;
	return false;
}

/* A strand begins: our share for a rank at the farthest distance. All return: to be skipped. */
static bool scatter_leaf(struct exec_pat_schedule *s, struct exec_pat_step *step)
{
	int a = s->strand, strands = scatter_strands(s);
	int distance = mirror_inverted(a, strands) * s->stride + s->distance;
	step->own = data_of(s, distance);
	step->recv_dim = PAT_OWN;
	step->send_dim = 0;
	step->send_at = slot_at(s, a, step->n);
	step->send_last = slot_full(s, a) || a == strands - 1;
	return distance >= s->nranks;
}

static bool scatter_forward(struct exec_pat_schedule *s, struct exec_pat_step *step)
{
	int a = s->strand, strands = scatter_strands(s);
	int distance = mirror_inverted(a, strands) * s->stride + s->distance;
	int dim = low_dim(distance), next = distance - (1 << dim);
	bool full = slot_full(s, a) || a == strands - 1;
	step->recv_dim = dim;
	step->send_dim = dim_of(next);
	step->recv_at = step->send_at = slot_at(s, a, step->n);
	step->send_last = dim == 0 && full;
	step->recv_last = full;
	step->own = data_of(s, next);
	if (step->send_dim != PAT_OWN && s->distance == 1 << dim) {
		peer_change(s, s->strands);
		step->ahead = s->ahead;
		step->send_at = slot_at(s, a - s->skipped, step->n);
	}
	bool skip = nothing_in(step, distance >= s->nranks, next >= s->nranks);
	if (dim > 0 && slot_full(s, a - s->skipped) && !skip)
		s->ahead++;
	return skip;
}

static bool scatter_fold_near(struct exec_pat_schedule *s, struct exec_pat_step *step)
{
	int a = s->strand, strands = scatter_strands(s);
	int next = (2 * mirror_inverted(a, strands) + 1) * s->scale * s->stride,
	    distance = next + 1;
	int from = a + s->strands - s->strands / s->scale;
	step->recv_dim = 0;
	step->recv_at = slot_at(s, from, step->n);
	step->recv_last = slot_full(s, from);
	step->send_dim = dim_of(next);
	step->send_at = slot_at(s, a, step->n);
	step->send_last = slot_full(s, a) || a == strands - 1;
	step->own = data_of(s, next);
	return nothing_in(step, distance >= s->nranks, next >= s->nranks);
}

static bool scatter_fold_far(struct exec_pat_schedule *s, struct exec_pat_step *step)
{
	int a = s->strand, strands = scatter_strands(s);
	int distance = (2 * mirror_inverted(a, strands) + 1) * s->scale * s->stride;
	int dim = low_dim(distance), next = distance - (1 << dim);
	step->recv_dim = dim;
	step->recv_at = slot_at(s, a, step->n);
	step->recv_last = slot_full(s, a) || a == strands - 1;
	step->send_dim = dim_of(next);
	step->own = data_of(s, next);
	bool skip = nothing_in(step, distance >= s->nranks, next >= s->nranks);
	peer_change(s, strands);
	step->ahead = s->ahead;
	int to = a - s->skipped;
	if (slot_full(s, to) && !skip)
		s->ahead++;
	step->send_at = slot_at(s, to, step->n);
	return skip;
}

/* What the other ranks have for us. */
static bool scatter_finish(struct exec_pat_schedule *s, struct exec_pat_step *step)
{
	step->recv_dim = 0;
	step->send_dim = PAT_OWN;
	step->recv_at = slot_at(s, s->strands - 1, step->n);
	step->recv_last = true;
	step->own = data_of(s, 0);
	s->offset += s->chunk;
	return false;
}

/* All strands of a phase are done. */
static void scatter_phase_end(struct exec_pat_schedule *s)
{
	int phase = s->phase;
	if (phase == FORWARD)
		s->distance--;
	if (phase == FOLD_FAR)
		s->scale *= 2;
	if (phase == FINISH)
		exec_pat_scatter_begin(s);
	else if (phase == LEAF)
		scatter_phase(s, s->distance > 1 ? FORWARD : s->strands > 1 ? FOLD_NEAR : FINISH);
	else if (phase == FORWARD)
		scatter_phase(s, s->distance % 2 ? LEAF : FORWARD);
	else if (phase == FOLD_NEAR)
		scatter_phase(s, FOLD_FAR);
	else
		scatter_phase(s, s->scale < s->strands ? FOLD_NEAR : FINISH);
}

bool exec_pat_scatter_next(struct exec_pat_schedule *s, struct exec_pat_step *step)
{
	static bool (*const phases[])(struct exec_pat_schedule *, struct exec_pat_step *) = {
		[LEAF] = scatter_leaf,
		[FORWARD] = scatter_forward,
		[FOLD_NEAR] = scatter_fold_near,
		[FOLD_FAR] = scatter_fold_far,
		[FINISH] = scatter_finish,
	};
	bool skip = true;
	while (skip && s->offset < s->end) {
		*step = (struct exec_pat_step){ .ahead = s->ahead,
			.offset = s->offset,
			.n = MIN(s->chunk, s->end - s->offset) };
		skip = phases[s->phase](s, step);
		if (++s->strand >= scatter_strands(s))
			scatter_phase_end(s);
	}
	return !skip;
}

/* ---- all-gather ---- */

static int gather_strands(const struct exec_pat_schedule *s)
{
	return s->phase == SPREAD ? s->strands / (2 * s->scale) : s->strands;
}

/* Preorder walk of the distances below stride as a binomial forest, far ones first: the children
 * of a distance are at half its lowest bit, a quarter, ... from it. Ends where it began. */
static int distance_next(int distance, int stride)
{
	if (distance == 1)
		return stride / 2;
	if (distance % 2 == 0)
		return distance + (1 << low_dim(distance)) / 2;
	return distance - 1 - (1 << low_dim(distance - 1)) / 2;
}

static void gather_phase(struct exec_pat_schedule *s, int phase)
{
	s->phase = phase;
	s->strand = 0;
}

void exec_pat_gather_begin(struct exec_pat_schedule *s)
{
	s->scale = s->strands / 2;
	s->distance = s->stride / 2;
	gather_phase(s, s->scale ? SPREAD : SHARE);
}

/* A distance where a walk ends: what comes is for us alone. All return: to be skipped. */
static bool gather_take(struct exec_pat_schedule *s, struct exec_pat_step *step)
{
	int a = s->strand, distance = a * s->stride + s->distance;
	step->own = data_of(s, distance);
	step->recv_dim = 0;
	step->send_dim = PAT_OWN;
	step->recv_at = slot_at(s, a, step->n);
	step->recv_last = slot_full(s, a) || distance + s->stride >= s->nranks;
	return distance >= s->nranks;
}

static bool gather_share(struct exec_pat_schedule *s, struct exec_pat_step *step)
{
	int a = s->strand, distance = a * s->stride + s->distance;
	int dim = low_dim(distance), from = distance - (1 << dim);
	bool missing = distance >= s->nranks;
	int64_t slot = a;
	step->own = data_of(s, from);
	step->send_dim = dim;
	step->send_at = slot_at(s, a, step->n);
	step->send_last = slot_full(s, a) || distance + s->stride >= s->nranks;
	step->recv_dim = dim_of(from);
	bool last = slot_full(s, a) || distance + s->stride - 1 >= s->nranks;
	if (from && s->distance == 1 << dim) {
		slot = (int64_t)a * s->stride >> (step->recv_dim + 1);
		last = slot_full(s, slot) || ((slot + 1) * 2 + 1) << step->recv_dim >= s->nranks;
	}
	step->recv_at = slot_at(s, slot, step->n);
	step->recv_last = from && dim == 0 && last;
	step->ahead = dim == 0 ? 0 : (uint64_t)(slot / s->per_slot);
	if (from < s->nranks && dim == 0 && missing) { /* still to be received */
		step->send_dim = PAT_OWN;
		step->send_last = false;
		return false;
	}
	return missing;
}

static bool gather_spread(struct exec_pat_schedule *s, struct exec_pat_step *step)
{
	int a = s->strand, far = s->scale * s->stride, distance = (2 * a + 1) * far;
	int dim = low_dim(distance), from = distance - (1 << dim);
	step->own = data_of(s, from);
	step->send_dim = dim;
	step->send_at = slot_at(s, a, step->n);
	step->send_last = slot_full(s, a) || distance + 2 * far >= s->nranks;
	step->recv_dim = dim_of(from);
	if (from) {
		int64_t slot = (int64_t)a * 2 * far >> (step->recv_dim + 1);
		step->recv_at = slot_at(s, slot, step->n);
		step->ahead = (uint64_t)(slot / s->per_slot);
	}
	return distance >= s->nranks;
}

static void gather_phase_end(struct exec_pat_schedule *s)
{
	int phase = s->phase, odd = s->distance % 2;
	if (phase == SPREAD) {
		s->scale /= 2;
		gather_phase(s, s->scale ? SPREAD : SHARE);
		return;
	}
	if (phase == TAKE || !odd)
		s->distance = distance_next(s->distance, s->stride);
	if (phase == TAKE && s->distance == s->stride / 2) {
		s->offset += s->chunk;
		exec_pat_gather_begin(s);
		return;
	}
	gather_phase(s, phase == SHARE && odd ? TAKE : SHARE);
}

bool exec_pat_gather_next(struct exec_pat_schedule *s, struct exec_pat_step *step)
{
	static bool (*const phases[])(struct exec_pat_schedule *, struct exec_pat_step *) = {
		[TAKE] = gather_take, [SHARE] = gather_share, [SPREAD] = gather_spread
	};
	bool skip = true;
	while (skip && s->offset < s->end) {
		*step = (struct exec_pat_step){ .offset = s->offset,
			.n = MIN(s->chunk, s->end - s->offset) };
		skip = phases[s->phase](s, step);
		if (++s->strand >= gather_strands(s))
			gather_phase_end(s);
	}
	return !skip;
}
