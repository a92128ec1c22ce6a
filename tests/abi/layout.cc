/* Prints the layout of NCCL's plugin ABIs and the type of every field and slot: as our headers
 * declare it, or, with LINA_NCCL_NET_H, as NCCL's own do. In C++, where a type has a name to print.
 */
#include <cstddef>
#include <cstdio>
#include <typeinfo>

#ifdef LINA_NCCL_NET_H
#include LINA_NCCL_NET_H
#ifdef LINA_NCCL_PROFILER_H
#include LINA_NCCL_PROFILER_H
#endif
#include LINA_NCCL_TUNER_H
#else
#include "plugin/nccl_abi/net.h"
#include "plugin/nccl_abi/profiler.h"
#include "plugin/nccl_abi/tuner.h"
#endif

#define LAYOUT_TYPE(type, bytes) std::printf("%s: %zu bytes\n", #type, sizeof(type));
#define LAYOUT_FIELD(type, field, at)                                            \
	std::printf("%s.%s: at %zu, %s\n", #type, #field, offsetof(type, field), \
		typeid(decltype(type::field)).name());
#define LAYOUT_VALUE(name) std::printf("%s: %lld\n", #name, static_cast<long long>(name));

int main()
{
#include "layout_rows.def"
	return 0;
}
