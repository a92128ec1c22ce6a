"""Streams and events for CPU tensors, with CUDA's order of things.

What a program computes on its default stream is done by the time the call returns, as always on a CPU. Inside
`with run_on(stream):` it is not: operations that only write into tensors are queued on the stream, in order with the
collectives that were queued there, and the program goes on; that is how DeepSpeed overlaps gradients with the backward
pass on a GPU. An operation that this file does not know first waits for the stream and then runs at once, so what is not
overlapped is still right.
"""
import contextlib
import ctypes
import itertools
import threading
import time

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from nccl_calls import EVENT_WITHOUT_TIME, Handle, HostFunction, cuda, library

STREAM_NON_BLOCKING = 1
_here = threading.local()
_made = []  # every stream, for as long as the process lives


class Stream:
    """A stream of the device. Work that Python queues on it holds what it needs until it has run."""

    def __init__(self, *_, **__):
        self.handle = Handle()
        cuda("StreamCreateWithFlags", ctypes.byref(self.handle), STREAM_NON_BLOCKING)
        _made.append(self)

    def run(self, function):
        """Queues a call."""
        _pending_add(self, function)

    def wait_event(self, event):
        cuda("StreamWaitEvent", self.handle, event.handle, 0)

    def wait_stream(self, stream):
        if not stream.is_default:
            self.wait_event(stream.record_event())

    def record_event(self, event=None):
        event = event or Event()
        cuda("EventRecord", event.handle, self.handle)
        return event

    def synchronize(self):
        cuda("StreamSynchronize", self.handle)
        _raise_failure()

    is_default = False


class DefaultStream:
    """What runs on it has run when its call returns; to wait for another stream is to stop the program until then."""
    is_default = True
    waited_s = 0.0

    def wait_event(self, event):
        self._wait(event)

    def wait_stream(self, stream):
        self._wait(stream)

    def _wait(self, what):
        since = time.monotonic()
        what.synchronize()
        self.waited_s += time.monotonic() - since

    def record_event(self, event=None):
        return event or Event()

    def synchronize(self):
        _raise_failure()


class Event:
    """Created as recorded, so one that was never recorded on a stream is over at once, as with CUDA."""

    def __init__(self, *_, **__):
        self.handle = Handle()
        cuda("EventCreateWithFlags", ctypes.byref(self.handle), EVENT_WITHOUT_TIME)

    def __del__(self):
        if cuda is not None:  # None when the interpreter ends
            cuda("EventDestroy", self.handle)

    def record(self, stream=None):
        (stream or current_stream()).record_event(self)

    def wait(self, stream=None):
        (stream or current_stream()).wait_event(self)

    def query(self):
        return library.cudaEventQuery(self.handle) == 0

    def synchronize(self):
        cuda("EventSynchronize", self.handle)
        _raise_failure()


# ---- calls queued on streams: CUDA hands a number back, from a thread of its own ----

_pending = {}
_numbers = itertools.count(1)
_failures = []


@HostFunction
def _pending_run(number):
    function = _pending.pop(number)
    try:
        with torch.no_grad():
            function()
    except Exception as failure:  # it belongs to who waits for the stream
        _failures.append(failure)


def _pending_add(stream, function):
    number = next(_numbers)
    _pending[number] = function
    cuda("LaunchHostFunc", stream.handle, _pending_run, number)


def _raise_failure():
    if _failures:
        raise RuntimeError("on a stream") from _failures.pop(0)


# ---- the current stream ----

default_stream = DefaultStream()


def current_stream():
    return getattr(_here, "stream", default_stream)


class _Queued(TorchDispatchMode):
    """Queues what writes into tensors that are there; looks, shapes and new tensors are made at once."""
    _aten = torch.ops.aten
    WRITES = {_aten.copy_.default, _aten.div_.Tensor, _aten.div_.Scalar, _aten.mul_.Tensor, _aten.mul_.Scalar,
              _aten.add_.Tensor, _aten.zero_.default, _aten.fill_.Scalar}
    AT_ONCE = {_aten.view.default, _aten._unsafe_view.default, _aten.narrow.default, _aten.slice.Tensor,
               _aten.select.int, _aten.as_strided.default, _aten.alias.default, _aten.detach.default,
               _aten.expand.default, _aten.t.default, _aten.transpose.int, _aten.unsqueeze.default,
               _aten.empty.memory_format, _aten.empty_like.default, _aten.new_empty.default,
               _aten._reshape_alias.default, _aten.split.Tensor}

    def __init__(self, stream):
        super().__init__()
        self.queue_to = stream

    def __torch_dispatch__(self, function, types, arguments=(), options=None):
        options = options or {}
        if function in self.AT_ONCE:
            return function(*arguments, **options)
        if function in self.WRITES:
            self.queue_to.run(lambda: function(*arguments, **options))
            return arguments[0]
        if function is self._aten.cat.default:
            return self._cat(*arguments, **options)
        self.queue_to.synchronize()
        return function(*arguments, **options)

    def _cat(self, tensors, dim=0):
        shape = list(tensors[0].shape)
        shape[dim] = sum(tensor.shape[dim] for tensor in tensors)
        joined = tensors[0].new_empty(shape)
        self.queue_to.run(lambda: torch.cat(tensors, dim, out=joined))
        return joined


@contextlib.contextmanager
def run_on(stream):
    """Makes `stream` the current one of this thread."""
    before = current_stream()
    _here.stream = stream or default_stream
    try:
        if stream is None or stream.is_default:
            yield
        else:
            with _Queued(stream):
                yield
    finally:
        _here.stream = before


def synchronize_all():
    for stream in _made:
        default_stream.wait_stream(stream)
