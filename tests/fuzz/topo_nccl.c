/* NCCL's XML: refused with a place in it, or a topology that hangs together. */
#include "topology/topo_nccl.h"

#include <string.h>

#include "fuzz/fuzz.h"
#include "fuzz/topo_check.h"

const unsigned fuzz_inputs = 30000;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct lina_topo_network network = LINA_TOPO_NETWORK_FLAT;
	struct lina_topo_fault fault = { .line = -1 };
	struct lina_topo *topo = NULL;
	struct lina_topo_builder b;
	int nnodes = 0;

	lina_topo_builder_init(&b);
	int err = lina_topo_nccl_add(&b, 0, (const char *)data, size, &nnodes, &fault);
	if (!err)
		err = lina_topo_build(&b, &network, &topo, &fault);
	lina_topo_builder_clear(&b);
	topo_check(err, topo, &fault);
	return 0;
}

size_t fuzz_seed(unsigned i, uint8_t *out, size_t room)
{
	static const char *const seeds[] = {
		"<system version=\"1\">\n"
		" <cpu host_hash=\"0x1\" numaid=\"0\" arch=\"x86_64\" vendor=\"GenuineIntel\" "
		"familyid=\"6\" modelid=\"207\">\n"
		"  <pci busid=\"0000:16:00.0\" class=\"0x060400\" link_speed=\"32.0 GT/s PCIe\" "
		"link_width=\"16\">\n"
		"   <pci busid=\"0000:18:00.0\" class=\"0x030200\" link_speed=\"32.0 GT/s PCIe\" "
		"link_width=\"16\">\n"
		"    <gpu dev=\"0\" sm=\"90\" rank=\"0\" gdr=\"1\">\n"
		"     <nvlink target=\"0000:07:00.0\" count=\"5\" "
		"tclass=\"0x068000\"/></gpu></pci>\n"
		"   <pci busid=\"0000:19:00.0\" class=\"0x020000\" link_speed=\"\" "
		"link_width=\"\">\n"
		"    <nic><net name=\"mlx5_0\" dev=\"0\" speed=\"400000\" latency=\"0.5\" "
		"guid=\"0xa8\" rail=\"0\"/></nic>\n"
		"   </pci></pci></cpu></system>",
		"<system><cpu><pci busid=\"a\" class=\"0x03\"><gpu sm=\"70\"><nvlink target=\"b\" "
		"count=\"2\" tclass=\"0x0302\"/>"
		"<c2c bw=\"10\" count=\"3\"/></gpu><gpu/></pci><pci busid=\"b\" "
		"class=\"0x030000\"/>"
		"<pci busid=\"c\" class=\"0x0207\"/></cpu><cpu host_hash=\"2\" "
		"arch=\"ppc64\"><nic><net/></nic>"
		"<pci busid=\"b\"><gpu><nvlink tclass=\"0x068001\"/></gpu></pci></cpu></system>",
	};

	if (i >= sizeof(seeds) / sizeof(*seeds) || strlen(seeds[i]) > room)
		return 0;
	memcpy(out, seeds[i], strlen(seeds[i]));
	return strlen(seeds[i]);
}
