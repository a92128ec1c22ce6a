#ifndef HOSTGPU_CUDA_BF16_H
#define HOSTGPU_CUDA_BF16_H
/* nccl.h includes this file and uses nothing of it. */
#endif
