/* What profile, predict and evaluate of lina-plan share: models as files, and tokens as a model
 * takes them. */
#ifndef LINA_COLLECTIVES_PLAN_LEARN_H
#define LINA_COLLECTIVES_PLAN_LEARN_H

#include "collectives/plan_inputs.h"
#include "collectives/profile.h"

/* Reads a model, or complains with file, line and column; the caller destroys it. */
int lina_plan_open_profile(const char *path, struct lina_profile **profile_p);

/* The tokens of a record, which stay as long as it does. */
static inline struct lina_token_paths lina_plan_tokens_of(const struct lina_record *record)
{
	return (struct lina_token_paths){ record->ntokens, record->nlayers, record->topk,
		record->layers, record->experts };
}

/* How a model's predictions compare with what came, as a table on stdout; json: as JSON.
 * batch_tokens: of how many tokens a batch is, where the records have no steps. */
int lina_plan_judge_model(
	const char *model_path, const struct lina_plan_inputs *inputs, int batch_tokens, bool json);

/* How far a layer's choice tells that of the next: Lina's figure 9, for the topk first; likewise.
 */
int lina_plan_judge_groups(const struct lina_plan_inputs *inputs, bool json);

#endif
