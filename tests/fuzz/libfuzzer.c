/* libFuzzer starts from nothing: now and then it is given one of the target's good inputs. */
#include "fuzz/fuzz.h"

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t room);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t room, unsigned seed);

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t room, unsigned seed)
{
	unsigned nseeds = 0;
	static uint8_t scratch[FUZZ_INPUT_MAX];

	while (fuzz_seed(nseeds, scratch, sizeof(scratch)))
		nseeds++;
	if (nseeds && seed % 16 == 0 && room >= FUZZ_INPUT_MAX)
		size = fuzz_seed(seed / 16 % nseeds, data, FUZZ_INPUT_MAX);
	return LLVMFuzzerMutate(data, size, room);
}
