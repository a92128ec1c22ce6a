/* The compiler's word that our declarations of NCCL's profiler and tuner ABIs have the layout that
 * NCCL expects. */
#include "plugin/nccl_abi/profiler.h"
#include "plugin/nccl_abi/tuner.h"

#define LAYOUT_TYPE(type, bytes) \
	_Static_assert(sizeof(type) == (bytes), #type " has another size in NCCL");
#define LAYOUT_FIELD(type, field, at) \
	_Static_assert(offsetof(type, field) == (at), #type "." #field " is elsewhere in NCCL");

/* clang-format off */
#include "plugin/nccl_abi/tools_layout.def"
/* clang-format on */
