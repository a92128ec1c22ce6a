/* A line that describes a cluster: refused with a place in it, or a topology that hangs together.
 */
#include <string.h>

#include "fuzz/fuzz.h"
#include "fuzz/topo_check.h"
#include "topology/topo_text.h"

const unsigned fuzz_inputs = 60000;

/* Large clusters take long; what they are made of does not differ. */
static bool is_small(const uint8_t *data, size_t size)
{
	int digits = 0;

	for (size_t i = 0; i < size; i++) {
		digits = data[i] >= '0' && data[i] <= '9' ? digits + 1 : 0;
		if (digits > 2)
			return false;
	}
	return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct lina_topo_fault fault = { .line = -1 };
	struct lina_topo *topo = NULL;

	if (!is_small(data, size))
		return 0;
	int err = lina_topo_parse((const char *)data, size, &topo, &fault);
	topo_check(err, topo, &fault);
	return 0;
}

size_t fuzz_seed(unsigned i, uint8_t *out, size_t room)
{
	static const char *const seeds[] = {
		"4 nodes, 8 gpus, nvlink 300 GB/s, 8 nics 50 GB/s",
		"2 nodes, 4 gpus, pcie 24 GB/s 1 us, 2 nics 200 Gbit/s 2.5us, 1 rail",
		"2 nodes, 2 gpus, nvlink 1.5 TiB/s, 2 nics 12.5 kB/s, pods of 1, uplink 1 MB/s 3 "
		"ms;\n"
		"1 node, 1 gpu, 3 nics 9 b/s # one\n",
		"1 gpu",
	};

	if (i >= sizeof(seeds) / sizeof(*seeds) || strlen(seeds[i]) > room)
		return 0;
	memcpy(out, seeds[i], strlen(seeds[i]));
	return strlen(seeds[i]);
}
