"""NCCL and the CUDA runtime as Python calls them: what hostgpu offers, by ctypes.

On hostgpu a device's memory is the process's, so the address of a CPU tensor is what NCCL wants. Every call that
fails raises RuntimeError with the library's own words. ctypes lets other Python threads run during a call.
"""
import ctypes
import os

import torch

Handle = ctypes.c_void_p
library = ctypes.CDLL(os.environ.get("HOSTGPU_NCCL", "libnccl.so.2"), mode=ctypes.RTLD_GLOBAL)

TYPES = {
    torch.int8: 0, torch.uint8: 1, torch.int32: 2, torch.int64: 4, torch.float16: 6, torch.float32: 7,
    torch.float64: 8, torch.bfloat16: 9, torch.bool: 1,
}
CONFIG_MAGIC = 0xCAFEBEEF
UNDEFINED_INT = -2147483648
EVENT_WITHOUT_TIME = 2


class UniqueId(ctypes.Structure):
    _fields_ = [("bytes", ctypes.c_char * 128)]


class Config(ctypes.Structure):
    """ncclConfig_t as far as NCCL 2.27 has it; `size` tells a later NCCL where it ends."""
    _fields_ = [
        ("size", ctypes.c_size_t), ("magic", ctypes.c_uint), ("version", ctypes.c_uint),
        ("blocking", ctypes.c_int), ("cga_cluster_size", ctypes.c_int), ("min_ctas", ctypes.c_int),
        ("max_ctas", ctypes.c_int), ("net_name", ctypes.c_char_p), ("split_share", ctypes.c_int),
        ("traffic_class", ctypes.c_int), ("comm_name", ctypes.c_char_p), ("collnet_enable", ctypes.c_int),
        ("cta_policy", ctypes.c_int), ("shrink_share", ctypes.c_int), ("nvls_ctas", ctypes.c_int),
    ]


HostFunction = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
_size, _int = ctypes.c_size_t, ctypes.c_int
_pointer = ctypes.POINTER
_SIGNATURES = {
    "ncclGetVersion": [_pointer(_int)],
    "ncclGetUniqueId": [_pointer(UniqueId)],
    "ncclCommInitRankConfig": [_pointer(Handle), _int, UniqueId, _int, _pointer(Config)],
    "ncclCommDestroy": [Handle],
    "ncclGroupStart": [],
    "ncclGroupEnd": [],
    "ncclAllReduce": [Handle, Handle, _size, _int, _int, Handle, Handle],
    "ncclBroadcast": [Handle, Handle, _size, _int, _int, Handle, Handle],
    "ncclReduce": [Handle, Handle, _size, _int, _int, _int, Handle, Handle],
    "ncclAllGather": [Handle, Handle, _size, _int, Handle, Handle],
    "ncclReduceScatter": [Handle, Handle, _size, _int, _int, Handle, Handle],
    "ncclAlltoAll": [Handle, Handle, _size, _int, Handle, Handle],
    "ncclSend": [Handle, _size, _int, _int, Handle, Handle],
    "ncclRecv": [Handle, _size, _int, _int, Handle, Handle],
    "cudaStreamCreateWithFlags": [_pointer(Handle), ctypes.c_uint],
    "cudaStreamSynchronize": [Handle],
    "cudaStreamWaitEvent": [Handle, Handle, ctypes.c_uint],
    "cudaLaunchHostFunc": [Handle, HostFunction, ctypes.c_void_p],
    "cudaEventCreateWithFlags": [_pointer(Handle), ctypes.c_uint],
    "cudaEventDestroy": [Handle],
    "cudaEventRecord": [Handle, Handle],
    "cudaEventSynchronize": [Handle],
    "cudaEventQuery": [Handle],
}
for _name, _arguments in _SIGNATURES.items():
    getattr(library, _name).argtypes = _arguments
library.ncclGetErrorString.restype = library.ncclGetLastError.restype = ctypes.c_char_p
library.ncclGetLastError.argtypes = [Handle]
library.cudaGetErrorString.restype = ctypes.c_char_p


def nccl(name, *arguments):
    """Calls nccl<name>."""
    result = getattr(library, "nccl" + name)(*arguments)
    if result != 0:
        raise RuntimeError(f"nccl{name}: {library.ncclGetErrorString(result).decode()}: "
                           f"{library.ncclGetLastError(None).decode()}")


def cuda(name, *arguments):
    """Calls cuda<name>."""
    result = getattr(library, "cuda" + name)(*arguments)
    if result != 0:
        raise RuntimeError(f"cuda{name}: {library.cudaGetErrorString(result).decode()}")


def communicator(store, key, rank, nranks, net="", traffic_class=UNDEFINED_INT):
    """A communicator of the `nranks` processes that share `store` and name the same `key`, on the network that calls
    itself `net` (no other stands in for it), or on the one that NCCL chooses where `net` is empty."""
    unique_id = UniqueId()
    if rank == 0:
        nccl("GetUniqueId", ctypes.byref(unique_id))
        store.set(key, bytes(unique_id).hex())
    else:
        unique_id = UniqueId.from_buffer_copy(bytes.fromhex(store.get(key).decode()))
    config = Config()
    for field, kind in Config._fields_:
        if kind is ctypes.c_int:
            setattr(config, field, UNDEFINED_INT)
    config.size, config.magic, config.version = ctypes.sizeof(Config), CONFIG_MAGIC, 22700
    config.net_name = net.encode() or None
    config.traffic_class = traffic_class
    made = Handle()
    nccl("CommInitRankConfig", ctypes.byref(made), nranks, unique_id, rank, ctypes.byref(config))
    return made
