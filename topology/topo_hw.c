#include "topology/topo_hw.h"

#include <string.h>

double lina_hw_pci_bytes_per_s(double gt_per_s, int width)
{
	if (gt_per_s <= 0)
		gt_per_s = 8;
	if (width <= 0)
		width = 16;
	/* 8b/10b up to 5 GT/s, then next to nothing. */
	double bits = gt_per_s < 8 ? 0.8 * gt_per_s : gt_per_s;
	return bits * 1e9 * 0.75 * width / 8;
}

double lina_hw_nvlink_bytes_per_s(int sm)
{
	static const struct {
		int sm;
		double gbytes_per_s;
	} rates[] = { { 100, 40.1 }, { 90, 20.6 }, { 87, 20.0 }, { 86, 12.0 }, { 70, 20.0 },
		{ 60, 18.0 } };

	for (unsigned i = 0; i < sizeof(rates) / sizeof(*rates); i++)
		if (sm >= rates[i].sm)
			return rates[i].gbytes_per_s * 1e9;
	return 20e9;
}

static double intel_gbytes_per_s(int family, int model)
{
	if (family != 6)
		return 6;
	if (model >= 0xcf || (model >= 0xad && model <= 0xaf)) /* Emerald, Granite Rapids */
		return 40;
	if (model >= 0x8f) /* Sapphire Rapids */
		return 22;
	return model >= 0x55 ? 10 : 6; /* Skylake, Broadwell */
}

static double amd_gbytes_per_s(int family)
{
	return family >= 26 ? 32 : family >= 25 ? 24 : 16; /* Zen 5, Zen 3 and 4, Zen 1 and 2 */
}

double lina_hw_cpu_bytes_per_s(const char *arch, const char *vendor, int family, int model)
{
	if (strcmp(arch, "ppc64") == 0 || strcmp(arch, "ppc64le") == 0)
		return 32e9;
	if (strcmp(vendor, "GenuineIntel") == 0)
		return intel_gbytes_per_s(family, model) * 1e9;
	if (strcmp(vendor, "AuthenticAMD") == 0)
		return amd_gbytes_per_s(family) * 1e9;
	return 6e9;
}
