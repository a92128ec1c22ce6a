#ifndef HOSTGPU_CUDA_FP16_H
#define HOSTGPU_CUDA_FP16_H
/* nccl.h includes this file and uses nothing of it. */
#endif
