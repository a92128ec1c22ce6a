#include "collectives/element.h"

/* Types that NCCL's header does not always name: bfloat16 where CUDA's was not included,
 * before 2.24 also the two of 8 bits. Their numbers are its ABI. */
enum { TYPE_BFLOAT16 = 9, TYPE_FLOAT8_E4M3 = 10, TYPE_FLOAT8_E5M2 = 11 };

size_t lina_type_bytes(ncclDataType_t type, enum lina_element *element_p)
{
	*element_p = LINA_ELEMENT_OTHER;
	switch ((int)type) {
	case ncclInt8:
	case ncclUint8:
	case TYPE_FLOAT8_E4M3:
	case TYPE_FLOAT8_E5M2:
		return 1;
	case ncclInt32:
	case ncclUint32:
		return 4;
	case ncclInt64:
	case ncclUint64:
		return 8;
	case ncclFloat16:
		*element_p = LINA_ELEMENT_F16;
		return 2;
	case TYPE_BFLOAT16:
		*element_p = LINA_ELEMENT_BF16;
		return 2;
	case ncclFloat32:
		*element_p = LINA_ELEMENT_F32;
		return 4;
	case ncclFloat64:
		*element_p = LINA_ELEMENT_F64;
		return 8;
	default:
		return 0;
	}
}
