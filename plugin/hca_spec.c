#include "plugin/hca_spec.h"

#include <stdlib.h>
#include <string.h>

enum { PORT, RAIL, PLANE, FIELDS, FIELD_BAD = -2 };

/* Up to end, or the next colon, which *at_p passes. */
static int field_read(const char **at_p, const char *end, int most)
{
	const char *at = *at_p, *colon = memchr(at, ':', (size_t)(end - at));
	const char *until = colon ? colon : end;
	char *after;

	*at_p = colon ? colon + 1 : end;
	if (at == until)
		return LINA_HCA_UNSET;
	long number = strtol(at, &after, 10);
	return after == until && number >= 0 && number <= most ? (int)number : FIELD_BAD;
}

/* One item of len characters, "NAME" or "NAME:PORT:RAIL:PLANE". */
static bool item_match(const char *item, size_t len, bool exact, const char *device, int port,
	struct lina_hca_place *place_p)
{
	static const int most[FIELDS] = { UINT8_MAX, INT16_MAX, LINA_HCA_PLANES - 1 };
	const char *end = item + len, *colon = memchr(item, ':', len);
	size_t nname = colon ? (size_t)(colon - item) : len;
	int field[FIELDS];

	if (strncmp(item, device, nname) != 0 || (exact && device[nname] != '\0'))
		return false;
	const char *at = colon ? colon + 1 : end;
	for (int i = 0; i < FIELDS; i++) {
		field[i] = field_read(&at, end, most[i]);
		if (field[i] == FIELD_BAD)
			return false;
	}
	if (at != end || (field[PORT] != LINA_HCA_UNSET && field[PORT] != port))
		return false;
	*place_p = (struct lina_hca_place){ (int16_t)field[RAIL], (int16_t)field[PLANE] };
	return true;
}

bool lina_hca_match(const char *spec, const char *device, int port, struct lina_hca_place *place_p)
{
	bool leave_out = spec[0] == '^', found = false, any = false;

	*place_p = (struct lina_hca_place){ LINA_HCA_UNSET, LINA_HCA_UNSET };
	spec += leave_out;
	bool exact = spec[0] == '=';
	spec += exact;
	while (*spec && !found) {
		size_t len = strcspn(spec, ",");
		any = any || len > 0;
		found = len > 0 && item_match(spec, len, exact, device, port, place_p);
		spec += len + (spec[len] == ',');
	}
	return !any || found != leave_out;
}
