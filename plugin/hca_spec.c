#include "plugin/hca_spec.h"

#include <stdlib.h>
#include <string.h>

/* One item of len characters, "NAME" or "NAME:PORT". */
static bool item_match(const char *item, size_t len, bool exact, const char *device, int port)
{
	const char *colon = memchr(item, ':', len);
	size_t nname = colon ? (size_t)(colon - item) : len;

	if (strncmp(item, device, nname) != 0 || (exact && device[nname] != '\0'))
		return false;
	if (!colon)
		return true;
	char *end;
	long number = strtol(colon + 1, &end, 10);
	return end != colon + 1 && end == item + len && number == port;
}

bool lina_hca_match(const char *spec, const char *device, int port)
{
	bool leave_out = spec[0] == '^', found = false, any = false;

	spec += leave_out;
	bool exact = spec[0] == '=';
	spec += exact;
	while (*spec) {
		size_t len = strcspn(spec, ",");
		any = any || len > 0;
		found = found || (len > 0 && item_match(spec, len, exact, device, port));
		spec += len + (spec[len] == ',');
	}
	return !any || found != leave_out;
}
