/* The compiler's word that our declarations of NCCL's net ABI have the layout that NCCL expects. */
#include "plugin/nccl_abi/net.h"

#include "plugin/log.h"
#include "plugin/net.h"

#define LAYOUT_TYPE(type, bytes) \
	_Static_assert(sizeof(type) == (bytes), #type " has another size in NCCL");
#define LAYOUT_FIELD(type, field, at) \
	_Static_assert(offsetof(type, field) == (at), #type "." #field " is elsewhere in NCCL");

/* clang-format off */
#include "plugin/nccl_abi/net_layout.def"
/* clang-format on */

/* What plugin/net.h and plugin/log.h say in their own words. */
_Static_assert((int)LINA_HANDLE_BYTES == NCCL_NET_HANDLE_MAXSIZE, "size of a handle");
_Static_assert((int)LINA_TRAFFIC_CLASS_UNSET == NCCL_NET_TRAFFIC_CLASS_UNDEF, "no traffic class");
_Static_assert((int)LINA_ID_UNSET == NCCL_NET_ID_UNDEF, "no rail or plane");
_Static_assert((int)LINA_VDEV_MAX == NCCL_NET_MAX_DEVS_PER_NIC_V12, "devices behind one");
_Static_assert((int)LINA_PTR_HOST == NCCL_PTR_HOST, "host memory");
_Static_assert((int)LINA_PTR_CUDA == NCCL_PTR_CUDA, "device memory");
_Static_assert((int)LINA_PTR_DMABUF == NCCL_PTR_DMABUF, "dmabuf");
_Static_assert((int)LINA_LOG_WARN == (int)NCCL_LOG_WARN, "level of warnings");
_Static_assert((int)LINA_LOG_INFO == (int)NCCL_LOG_INFO, "level of information");
_Static_assert((int)LINA_LOG_TRACE == (int)NCCL_LOG_TRACE, "level of traces");
_Static_assert((int)LINA_LOG_INIT == (int)NCCL_INIT, "subsystem init");
_Static_assert((int)LINA_LOG_NET == (int)NCCL_NET, "subsystem net");
_Static_assert((int)LINA_LOG_ANY == (int)NCCL_ALL, "all subsystems");
_Static_assert(sizeof(ncclDebugLogLevel) == sizeof(int), "a logger's level is passed as an int");
_Static_assert(sizeof(ncclResult_t) == sizeof(int), "a profiler's result is taken as an int");
