/* Model files of the planner: what can be read is written and read back as the same text. */
#include "collectives/profile.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz/fuzz.h"

const unsigned fuzz_inputs = 20000;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct lina_plan_text_fault fault = { .line = -1 };
	struct lina_profile *profile, *again;
	size_t bytes, bytes2;
	char *text, *text2;
	int err = lina_profile_decode((const char *)data, size, &profile, &fault);

	if (err) {
		FUZZ_CHECK(err == -EINVAL && fault.line > 0 && fault.column > 0 && fault.text[0]);
		return 0;
	}
	FUZZ_CHECK(!lina_profile_encode(profile, &text, &bytes));
	FUZZ_CHECK(!lina_profile_decode(text, bytes, &again, &fault));
	FUZZ_CHECK(!lina_profile_encode(again, &text2, &bytes2));
	FUZZ_CHECK(bytes == bytes2 && memcmp(text, text2, bytes) == 0);
	free(text);
	free(text2);
	lina_profile_destroy(profile);
	lina_profile_destroy(again);
	return 0;
}

size_t fuzz_seed(unsigned i, uint8_t *out, size_t room)
{
	static const char *const seeds[] = {
		"lina-profile 1\nmethod paths\nexperts 4\nlength 2\nkept 3\nloads 1 5 0 0.1 7\n"
		"loads 3 1 2 3 4\npath 3 total 15 after 0 3 next 2 10 1 4\n"
		"path 3 total 9 after 3 next\nend\n",
		"lina-profile 1 # a comment\nmethod window\n\nexperts 2\nloads 0 1.5 2e3\nend\n",
	};

	if (i >= sizeof(seeds) / sizeof(*seeds) || strlen(seeds[i]) > room)
		return 0;
	memcpy(out, seeds[i], strlen(seeds[i]));
	return strlen(seeds[i]);
}
