#ifndef HOSTGPU_CUDA_FP8_H
#define HOSTGPU_CUDA_FP8_H
/* nccl.h includes this file and uses nothing of it. */
#endif
