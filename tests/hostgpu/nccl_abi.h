/*
 * What NCCL hands to its device kernels, as far as a CPU stand-in reads it. The layouts are
 * private to NCCL and change between releases, so each known release has a header of its own.
 */
#ifndef HOSTGPU_NCCL_ABI_H
#define HOSTGPU_NCCL_ABI_H

#include <nccl.h>

#if NCCL_VERSION_CODE == 22907
#include "nccl_abi_22907.h"
#elif NCCL_VERSION_CODE == 22203
#include "nccl_abi_22203.h"
#else
#define ABI_TEXT_OF(code) #code
#define ABI_TEXT(code)    ABI_TEXT_OF(code)
#pragma message("nccl.h is of NCCL_VERSION_CODE " ABI_TEXT(NCCL_VERSION_CODE))
#error "the device structures of this NCCL release are not known; known are 2.29.7 and 2.22.3"
#endif

#endif
