/* LINA_IFNAME and a name, separated by a newline. */
#include <stdlib.h>
#include <string.h>

#include "fuzz/fuzz.h"
#include "plugin/ifaces.h"

const unsigned fuzz_inputs = 200000;

static char *text_of(const uint8_t *data, size_t n, const char *before)
{
	size_t m = strlen(before);
	char *text = malloc(m + n + 1);

	if (!text)
		die("no memory");
	memcpy(text, before, m);
	memcpy(text + m, data, n);
	text[m + n] = '\0';
	return text;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *newline = size ? memchr(data, '\n', size) : NULL;

	if (!newline)
		return 0;
	size_t nspec = (size_t)(newline - data);
	char *spec = text_of(data, nspec, "");
	char *without = text_of(data, nspec, "^");
	char *name = text_of(newline + 1, size - nspec - 1, "");
	bool match = lina_ifspec_match(spec, name);
	if (*spec != '^')
		FUZZ_CHECK(match != lina_ifspec_match(without, name));
	/* The empty list and the name itself, if it is one. */
	FUZZ_CHECK(lina_ifspec_match("", name));
	if (*name && !strpbrk(name, ",:") && *name != '^' && *name != '=')
		FUZZ_CHECK(lina_ifspec_match(name, name));
	free(spec);
	free(without);
	free(name);
	return 0;
}

size_t fuzz_seed(unsigned i, uint8_t *out, size_t room)
{
	static const char *const seeds[] = { "eth,ib0\neth1", "^docker,lo\nlo", "=eth0\neth01",
		"^=a:1,b\nb", ",\nx", "=\n" };

	if (i >= sizeof(seeds) / sizeof(*seeds) || strlen(seeds[i]) > room)
		return 0;
	memcpy(out, seeds[i], strlen(seeds[i]));
	return strlen(seeds[i]);
}
