/* NCCL's types, as rows are made of them. */
#ifndef LINA_COLLECTIVES_ELEMENT_H
#define LINA_COLLECTIVES_ELEMENT_H

#include <nccl.h>
#include <stddef.h>

#include "collectives/a2a_pack.h"

/* Bytes of an element of this type, and how it is added up; 0: there is no such type. */
size_t lina_type_bytes(ncclDataType_t type, enum lina_element *element_p);

#endif
