"""A c10d backend that carries CPU tensors over real NCCL: dist.init_process_group("nccl_cpu", ...) after importing this.

As ProcessGroupNCCL: a communicator and a stream for each process group, made when its first collective comes; a
collective waits for the stream that is current when it is called, and Work.wait() makes the current stream wait for it
(streams.py), which on the default stream means the program.

A group may have a communicator on each of several networks: `network(NAME)` chooses the one that collectives take from
then on. NAME is what NCCL calls a network ("Socket", a plugin's name); "fifo" is Lina with all traffic in one class, by
the rule traffic:1=latency in LINA_CLASSES; "" leaves the choice to NCCL.
"""
import collections

import torch
import torch.distributed as dist

import streams
from nccl_calls import TYPES, communicator, nccl

OPERATIONS = {dist.ReduceOp.SUM: 0, dist.ReduceOp.PRODUCT: 1, dist.ReduceOp.MAX: 2, dist.ReduceOp.MIN: 3}
FIFO_TRAFFIC_CLASS = 1
_network = ""
_groups = []


def network(name):
    """What follows goes over this network, on every group. Every rank must say so at the same place."""
    global _network
    _network = name


class Work(dist._Work):
    def __init__(self, event, tensors, result):
        super().__init__()
        self.event, self.tensors, self.result_ = event, tensors, result

    def wait(self, timeout=None):
        streams.current_stream().wait_event(self.event)
        return True

    def is_completed(self):
        return self.event.query()

    def get_future(self):
        self.event.synchronize()
        future = torch.futures.Future()
        future.set_result(self.result_)
        return future


class ProcessGroup(dist.ProcessGroup):
    def __init__(self, store, rank, size, timeout):
        super().__init__(rank, size)
        self.store, self.rank_, self.size_ = store, rank, size
        self.stream = streams.Stream()
        self.communicators = {}
        self.in_flight = collections.deque()
        _groups.append(self)

    def getBackendName(self):
        return "nccl_cpu"

    # ---- how a collective is started ----

    def _communicator(self):
        if _network not in self.communicators:
            fifo = _network == "fifo"
            more = {"traffic_class": FIFO_TRAFFIC_CLASS} if fifo else {}
            self.communicators[_network] = communicator(self.store, "nccl_cpu " + _network, self.rank_, self.size_,
                                                        "lina" if fifo else _network, **more)
        return self.communicators[_network]

    def _start(self, calls, tensors, result, after=None):
        """Queues `calls(communicator, stream)` in one NCCL group, then `after`. The tensors live until all is done; the
        Work does too, since C++ that was given one holds only its base."""
        made = self._communicator()
        self.stream.wait_stream(streams.current_stream())
        nccl("GroupStart")
        try:
            calls(made, self.stream.handle)
        finally:
            nccl("GroupEnd")
        if after:
            self.stream.run(after)
        work = Work(self.stream.record_event(), tensors, result)
        while len(self.in_flight) > 64 and self.in_flight[0].is_completed():
            self.in_flight.popleft()
        self.in_flight.append(work)
        return work

    # ---- one tensor, or several that are treated alike ----

    def allreduce(self, tensors, opts=None):
        operation = OPERATIONS[opts.reduceOp if opts else dist.ReduceOp.SUM]

        def calls(made, stream):
            for tensor in tensors:
                nccl("AllReduce", *_both(tensor), *_what(tensor), operation, made, stream)
        return self._start(calls, tensors, tensors)

    def allreduce_coalesced(self, tensors, opts=None):
        return self.allreduce(tensors, opts)

    def broadcast(self, tensors, opts):
        def calls(made, stream):
            for tensor in tensors:
                nccl("Broadcast", *_both(tensor), *_what(tensor), opts.rootRank, made, stream)
        return self._start(calls, tensors, tensors)

    def reduce(self, tensors, opts):
        def calls(made, stream):
            for tensor in tensors:
                nccl("Reduce", *_both(tensor), *_what(tensor), OPERATIONS[opts.reduceOp], opts.rootRank, made, stream)
        return self._start(calls, tensors, tensors)

    def barrier(self, opts=None):
        return self.allreduce([torch.zeros(1)])

    # ---- into and out of one tensor ----

    def _allgather_base(self, out, into, opts=None):
        def calls(made, stream):
            nccl("AllGather", _at(into), _at(out), *_what(into), made, stream)
        return self._start(calls, [out, into], out)

    def _reduce_scatter_base(self, out, into, opts=None):
        operation = OPERATIONS[opts.reduceOp if opts else dist.ReduceOp.SUM]

        def calls(made, stream):
            nccl("ReduceScatter", _at(into), _at(out), *_what(out), operation, made, stream)
        return self._start(calls, [out, into], out)

    def alltoall_base(self, out, into, out_rows, in_rows, opts=None):
        if not out_rows and not in_rows:
            def calls(made, stream):
                nccl("AlltoAll", _at(into), _at(out), into.numel() // self.size_, TYPES[into.dtype], made, stream)
            return self._start(calls, [out, into], out)
        return self.alltoall(list(out.split(out_rows or len(out) // self.size_)),
                             list(into.split(in_rows or len(into) // self.size_)))

    # ---- lists of tensors ----

    def alltoall(self, outs, ins, opts=None):
        def calls(made, stream):
            for peer, (out, into) in enumerate(zip(outs, ins)):
                _send(into, peer, made, stream)
                _receive(out, peer, made, stream)
        return self._start(calls, outs + ins, outs)

    def allgather(self, outs, ins, opts=None):
        """Through one tensor for each list, as NCCL wants it."""
        flat = [torch.empty((self.size_,) + tuple(into.shape), dtype=into.dtype) for into in ins]

        def calls(made, stream):
            for into, whole in zip(ins, flat):
                nccl("AllGather", _at(into), _at(whole), *_what(into), made, stream)

        def after():
            for parts, whole in zip(outs, flat):
                for part, row in zip(parts, whole):
                    part.copy_(row)
        return self._start(calls, [outs, ins, flat], outs, after)

    def reduce_scatter(self, outs, ins, opts):
        flat = [torch.stack(parts) for parts in ins]

        def calls(made, stream):
            for out, whole in zip(outs, flat):
                nccl("ReduceScatter", _at(whole), _at(out), *_what(out), OPERATIONS[opts.reduceOp], made, stream)
        return self._start(calls, [outs, flat], outs)

    def gather(self, outs, ins, opts):
        def calls(made, stream):
            _send(ins[0], opts.rootRank, made, stream)
            for peer, out in enumerate(outs[0] if self.rank_ == opts.rootRank else []):
                _receive(out, peer, made, stream)
        return self._start(calls, [outs, ins], outs)

    def scatter(self, outs, ins, opts):
        def calls(made, stream):
            for peer, into in enumerate(ins[0] if self.rank_ == opts.rootRank else []):
                _send(into, peer, made, stream)
            _receive(outs[0], opts.rootRank, made, stream)
        return self._start(calls, [outs, ins], outs)

    # ---- point to point; NCCL has no tags, what is sent first arrives first ----

    def send(self, tensors, peer, tag=0):
        return self._start(lambda made, stream: _send(tensors[0], peer, made, stream), tensors, tensors)

    def recv(self, tensors, peer, tag=0):
        return self._start(lambda made, stream: _receive(tensors[0], peer, made, stream), tensors, tensors)


def _at(tensor):
    if not tensor.is_contiguous():
        raise ValueError(f"tensors must be contiguous, this one of shape {tuple(tensor.shape)} is not")
    return tensor.data_ptr()


def _both(tensor):
    return _at(tensor), _at(tensor)


def _what(tensor):
    return tensor.numel(), TYPES[tensor.dtype]


def _send(tensor, peer, made, stream):
    if tensor.numel():
        nccl("Send", _at(tensor), *_what(tensor), peer, made, stream)


def _receive(tensor, peer, made, stream):
    if tensor.numel():
        nccl("Recv", _at(tensor), *_what(tensor), peer, made, stream)


def close():
    """Ends every communicator. Every rank must come here, with nothing in flight that others do not come to."""
    streams.synchronize_all()
    for group in _groups:
        for made in group.communicators.values():
            nccl("CommDestroy", made)
        group.communicators.clear()


dist.Backend.register_backend("nccl_cpu", ProcessGroup)
