/* Placements of others in: JSON by jansson, YAML by libyaml. */
#include <assert.h>
#include <errno.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "collectives/exchange.h"

/* Rows of experts as they come, all of the same length. */
struct rows {
	int nlayers, nslots;
	int *expert; /* [nlayers][nslots] */
	int *layer;  /* [nlayers], their numbers in the file */
	size_t room; /* of expert */
	size_t used;
	struct lina_plan_text_fault *fault;
};

static int wrong(struct lina_plan_text_fault *fault, int line, int column, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

static int wrong(struct lina_plan_text_fault *fault, int line, int column, const char *fmt, ...)
{
	va_list args;

	*fault = (struct lina_plan_text_fault){ .line = line, .column = column };
	va_start(args, fmt);
	(void)vsnprintf(fault->text, sizeof(fault->text), fmt, args);
	va_end(args);
	return -EINVAL;
}

static int row_begin(struct rows *rows, int layer, int line, int column)
{
	int *layers;

	if (rows->nlayers == LINA_LAYERS_MAX)
		return wrong(
			rows->fault, line, column, "expected at most %d layers", LINA_LAYERS_MAX);
	layers = realloc(rows->layer, ((size_t)rows->nlayers + 1) * sizeof(*layers));
	if (!layers)
		return -ENOMEM;
	rows->layer = layers;
	layers[rows->nlayers] = layer;
	return 0;
}

static int row_add(struct rows *rows, long long expert, int line, int column)
{
	if (expert < 0 || expert >= LINA_EXPERTS_MAX)
		return wrong(rows->fault, line, column,
			"layer %d, slot %zu: expected an expert from 0 to %d", rows->nlayers,
			rows->used - (size_t)rows->nlayers * (size_t)rows->nslots,
			LINA_EXPERTS_MAX - 1);
	if (rows->used == rows->room) {
		size_t room = 2 * rows->room + 64;
		int *larger = realloc(rows->expert, room * sizeof(*larger));

		if (!larger)
			return -ENOMEM;
		rows->expert = larger;
		rows->room = room;
	}
	rows->expert[rows->used++] = (int)expert;
	return 0;
}

static int row_end(struct rows *rows, int line, int column)
{
	size_t n = rows->used - (size_t)rows->nlayers * (size_t)rows->nslots;

	if (!n || n > INT32_MAX || (rows->nlayers && n != (size_t)rows->nslots))
		return wrong(rows->fault, line, column,
			"layer %d: expected as many slots as in the others, not %zu", rows->nlayers,
			n);
	rows->nslots = (int)n;
	rows->nlayers++;
	return 0;
}

/* --- JSON --- */

static int json_rows(struct rows *rows, const json_t *root, bool in_object)
{
	const json_t *map = in_object ? json_object_get(root, "physical_to_logical_map") : root;

	if (!json_is_array(map) || !json_array_size(map))
		return wrong(rows->fault, 1, 1, "expected %sarrays of experts, one for each layer",
			in_object ? "\"physical_to_logical_map\": " : "");
	for (size_t l = 0; l < json_array_size(map); l++) {
		const json_t *row = json_array_get(map, l);
		int err = row_begin(rows, (int)l, 0, 0);

		for (size_t s = 0; s < json_array_size(row) && !err; s++) {
			const json_t *e = json_array_get(row, s);

			err = row_add(rows, json_is_integer(e) ? json_integer_value(e) : -1, 0, 0);
		}
		if (!err)
			err = row_end(rows, 0, 0);
		if (err)
			return err;
	}
	return 0;
}

static int json_read(struct rows *rows, const char *text, size_t bytes, bool in_object)
{
	json_error_t error;
	json_t *root = json_loadb(text, bytes, 0, &error);
	int err;

	if (!root)
		return wrong(rows->fault, error.line, error.column > 0 ? error.column : 1, "%s",
			error.text);
	err = json_rows(rows, root, in_object);
	json_decref(root);
	return err;
}

/* --- YAML --- */

static int yaml_wrong(struct rows *rows, const yaml_node_t *node, const char *what)
{
	return wrong(rows->fault, (int)node->start_mark.line + 1, (int)node->start_mark.column + 1,
		"expected %s", what);
}

static bool yaml_number(const yaml_node_t *node, long *number_p)
{
	char *end;

	if (node->type != YAML_SCALAR_NODE || !node->data.scalar.length)
		return false;
	errno = 0;
	*number_p = strtol((const char *)node->data.scalar.value, &end, 10);
	return !*end && !errno;
}

static yaml_node_t *yaml_member(yaml_document_t *doc, const yaml_node_t *map, const char *name)
{
	if (!map || map->type != YAML_MAPPING_NODE)
		return NULL;
	for (yaml_node_pair_t *p = map->data.mapping.pairs.start; p < map->data.mapping.pairs.top;
		p++) {
		const yaml_node_t *key = yaml_document_get_node(doc, p->key);

		if (key->type == YAML_SCALAR_NODE &&
			strcmp((const char *)key->data.scalar.value, name) == 0)
			return yaml_document_get_node(doc, p->value);
	}
	return NULL;
}

static int yaml_row(
	struct rows *rows, yaml_document_t *doc, const yaml_node_t *key, const yaml_node_t *row)
{
	int line = (int)row->start_mark.line + 1, column = (int)row->start_mark.column + 1;
	long layer;
	int err;

	if (!yaml_number(key, &layer) || layer < 0 || layer > INT32_MAX)
		return yaml_wrong(rows, key, "the number of a layer");
	if (row->type != YAML_SEQUENCE_NODE)
		return yaml_wrong(rows, row, "the expert of each slot");
	if (rows->nlayers && layer <= rows->layer[rows->nlayers - 1])
		return yaml_wrong(rows, key, "layers in ascending order");
	err = row_begin(rows, (int)layer, line, column);
	for (yaml_node_item_t *i = row->data.sequence.items.start;
		i < row->data.sequence.items.top && !err; i++) {
		const yaml_node_t *e = yaml_document_get_node(doc, *i);
		long expert;

		if (!yaml_number(e, &expert))
			return yaml_wrong(rows, e, "an expert, a number");
		err = row_add(
			rows, expert, (int)e->start_mark.line + 1, (int)e->start_mark.column + 1);
	}
	return err ? err : row_end(rows, line, column);
}

static int yaml_rows(struct rows *rows, yaml_document_t *doc)
{
	const yaml_node_t *root = yaml_document_get_root_node(doc);
	const yaml_node_t *map = yaml_member(doc, root, "initial_global_assignments");
	const yaml_node_t *num = yaml_member(doc, root, "num_slots");
	long nslots;

	if (!map || map->type != YAML_MAPPING_NODE ||
		map->data.mapping.pairs.start == map->data.mapping.pairs.top)
		return wrong(rows->fault, 1, 1,
			"expected initial_global_assignments: {layer: [expert of each slot]}");
	for (yaml_node_pair_t *p = map->data.mapping.pairs.start; p < map->data.mapping.pairs.top;
		p++) {
		int err = yaml_row(rows, doc, yaml_document_get_node(doc, p->key),
			yaml_document_get_node(doc, p->value));

		if (err)
			return err;
	}
	if (num && (!yaml_number(num, &nslots) || nslots != rows->nslots))
		return yaml_wrong(rows, num, "num_slots as the layers have slots");
	return 0;
}

static int yaml_read(struct rows *rows, const char *text, size_t bytes)
{
	yaml_document_t doc;
	yaml_parser_t parser;
	int err;

	if (!yaml_parser_initialize(&parser))
		return -ENOMEM;
	yaml_parser_set_input_string(&parser, (const unsigned char *)text, bytes);
	if (yaml_parser_load(&parser, &doc)) {
		err = yaml_rows(rows, &doc);
		yaml_document_delete(&doc);
	} else {
		err = wrong(rows->fault, (int)parser.problem_mark.line + 1,
			(int)parser.problem_mark.column + 1, "%s",
			parser.problem ? parser.problem : "no memory");
	}
	yaml_parser_delete(&parser);
	return err;
}

/* --- a plan --- */

static int shape_of(const struct rows *rows, const struct lina_exchange_shape *shape,
	struct lina_plan_shape *out)
{
	int nexperts = shape->nexperts;

	for (size_t i = 0; i < rows->used && !shape->nexperts; i++)
		if (rows->expert[i] >= nexperts)
			nexperts = rows->expert[i] + 1;
	for (size_t i = 0; i < rows->used; i++)
		if (rows->expert[i] >= nexperts)
			return wrong(rows->fault, 0, 0,
				"layer %zu, slot %zu: expected an expert from "
				"0 to %d, not %d",
				i / (size_t)rows->nslots, i % (size_t)rows->nslots, nexperts - 1,
				rows->expert[i]);
	if (shape->ndevices < 1 || shape->nnodes < 1 || shape->ndevices % shape->nnodes ||
		rows->nslots % shape->ndevices)
		return wrong(rows->fault, 0, 0,
			"expected devices that divide %d slots, and nodes that divide the devices, "
			"not %d and %d",
			rows->nslots, shape->ndevices, shape->nnodes);
	*out = (struct lina_plan_shape){ .nlayers = rows->nlayers,
		.nexperts = nexperts,
		.ndevices = shape->ndevices,
		.devices_per_node = shape->ndevices / shape->nnodes,
		.slots_per_device = rows->nslots / shape->ndevices };
	return lina_plan_shape_check(out)
		       ? wrong(rows->fault, 0, 0, "expected a slot at least for each of %d experts",
				 nexperts)
		       : 0;
}

static int plan_of(
	const struct rows *rows, const struct lina_exchange_shape *shape, struct lina_plan **plan_p)
{
	struct lina_plan_shape out;
	struct lina_plan_fault fault;
	struct lina_plan *plan = NULL;
	int err = shape_of(rows, shape, &out);

	if (!err)
		err = lina_plan_create(&out, &plan);
	if (err)
		return err;
	assert(rows->expert);
	memcpy(plan->expert, rows->expert, rows->used * sizeof(*plan->expert));
	for (int l = 0; l < out.nlayers; l++)
		lina_plan_share_evenly(plan, l);
	err = lina_plan_check(plan, &fault);
	if (err == -EINVAL)
		(void)wrong(rows->fault, 0, 0, "layer %d: %s", fault.layer, fault.text);
	if (err)
		lina_plan_destroy(plan);
	else
		*plan_p = plan;
	return err;
}

int lina_exchange_decode(const char *text, size_t bytes, enum lina_exchange_format format,
	const struct lina_exchange_shape *shape, struct lina_plan **plan_p,
	struct lina_plan_text_fault *fault_p)
{
	struct lina_plan_text_fault fault = { 0 };
	struct rows rows = { .fault = &fault };
	int err;

	if (format == LINA_EXCHANGE_NCCL_TESTS)
		err = wrong(&fault, 0, 0, "a matrix holds traffic, no placement");
	else if (format == LINA_EXCHANGE_TRTLLM)
		err = yaml_read(&rows, text, bytes);
	else
		err = json_read(&rows, text, bytes, format == LINA_EXCHANGE_SGLANG);
	if (!err)
		err = plan_of(&rows, shape, plan_p);
	free(rows.expert);
	free(rows.layer);
	if (err)
		*fault_p = fault;
	return err;
}
