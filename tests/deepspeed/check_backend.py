"""One rank of a test: every call of the nccl_cpu backend against results that are known, streams, and a step of
DistributedDataParallel. Run under lina-launch."""
import os

import torch
import torch.distributed as dist

import nccl_cpu
import streams

rank, nranks = int(os.environ["LINA_RANK"]), int(os.environ["LINA_NRANKS"])
everyone = range(nranks)


def same(what, is_, wanted):
    if not torch.equal(is_, wanted):
        raise SystemExit(f"rank {rank}: {what}: {is_.flatten()[:8]} instead of {wanted.flatten()[:8]}")


def mine(shape, of=rank):
    return torch.full(shape, float(of + 1))


def check_reductions():
    total = nranks * (nranks + 1) / 2
    large = mine((1000003,))
    dist.all_reduce(large)
    same("all_reduce", large, torch.full((1000003,), total))
    for operation, wanted in (dist.ReduceOp.MAX, nranks), (dist.ReduceOp.MIN, 1):
        small = torch.tensor([rank + 1])
        dist.all_reduce(small, op=operation)
        same(f"all_reduce {operation}", small, torch.tensor([wanted]))
    one = mine((5,))
    dist.reduce(one, 1)
    if rank == 1:
        same("reduce", one, torch.full((5,), total))
    out = torch.empty(3)
    dist.reduce_scatter(out, [mine((3,)) * (peer + 1) for peer in everyone])
    same("reduce_scatter", out, torch.full((3,), total * (rank + 1)))
    dist.reduce_scatter_tensor(out, torch.cat([mine((3,)) * (peer + 1) for peer in everyone]))
    same("reduce_scatter_tensor", out, torch.full((3,), total * (rank + 1)))


def check_gathers():
    rows = [mine((4,), peer) for peer in everyone]
    parts = [torch.empty(4) for _ in everyone]
    dist.all_gather(parts, mine((4,)))
    same("all_gather", torch.stack(parts), torch.stack(rows))
    whole = torch.empty(4 * nranks)
    dist.all_gather_into_tensor(whole, mine((4,)))
    same("all_gather_into_tensor", whole, torch.cat(rows))
    parts = [torch.zeros(4) for _ in everyone]
    dist.gather(mine((4,)), parts if rank == 1 else None, dst=1)
    if rank == 1:
        same("gather", torch.stack(parts), torch.stack(rows))
    out = torch.empty(4)
    dist.scatter(out, rows if rank == 0 else None, src=0)
    same("scatter", out, mine((4,)))
    out = mine((4,))
    dist.broadcast(out, 1)
    same("broadcast", out, mine((4,), 1))


def check_all_to_all():
    out = torch.empty(nranks, 1024)
    dist.all_to_all_single(out, torch.arange(nranks * 1024.0).reshape(nranks, 1024) + 10000 * rank)
    row = torch.arange(rank * 1024.0, (rank + 1) * 1024)
    same("all_to_all_single", out, torch.stack([row + 10000 * peer for peer in everyone]))
    counts = [(rank + peer) % 3 for peer in everyone]
    out = torch.empty(sum(counts), 7)
    dist.all_to_all_single(out, mine((sum(counts), 7)), counts, counts)
    same("uneven all_to_all_single", out, torch.cat([mine((counts[peer], 7), peer) for peer in everyone]))
    outs = [torch.empty(peer + 1) for peer in everyone]
    dist.all_to_all(outs, [mine((rank + 1,)) for _ in everyone])
    same("all_to_all", torch.cat(outs), torch.cat([mine((peer + 1,), peer) for peer in everyone]))


def check_point_to_point():
    out = torch.empty(9)
    if rank % 2 == 0:
        dist.send(mine((9,)), rank + 1)
        dist.recv(out, rank + 1)
    else:
        dist.recv(out, rank - 1)
        dist.send(mine((9,)), rank - 1)
    same("send and recv", out, mine((9,), rank ^ 1))


def check_groups():
    halves = [dist.new_group([peer for peer in everyone if peer % 2 == half]) for half in (0, 1)]
    out = mine((6,))
    dist.all_reduce(out, group=halves[rank % 2])
    same("group", out, torch.full((6,), float(sum(peer + 1 for peer in everyone if peer % 2 == rank % 2))))
    work = dist.all_reduce(out, async_op=True)
    work.wait()
    if not work.is_completed():
        raise SystemExit("wait() came back too early")


def check_streams():
    """The program goes on while a stream works, and sees the result when it has waited for it."""
    side, gate = streams.Stream(), streams.Stream()
    opened = []
    gate.run(lambda: opened.append(wait_for_file("open")))
    side.wait_stream(gate)
    source = mine((1000,))
    into = torch.zeros(1000)
    with streams.run_on(side):
        source.mul_(2)
        dist.all_reduce(source)
        joined = torch.cat([source.view(-1), source.narrow(0, 0, 10)])
        into.copy_(joined.narrow(0, 0, 1000).div_(nranks * (nranks + 1)))
    same("before the stream has run", into, torch.zeros(1000))
    open(path_of("open"), "w").close()
    side.synchronize()
    same("after it has run", into, torch.ones(1000))
    with streams.run_on(side):
        into.mul_(3)
        same("an operation that is not queued", into.sqrt(), torch.full((1000,), 3.0).sqrt())
        into.copy_(torch.zeros(7, 3))
    try:
        side.synchronize()
    except RuntimeError:
        return
    raise SystemExit("an error on a stream was lost")


def path_of(name):
    return os.path.join(os.environ["LINA_RENDEZVOUS"], f"{name}.{rank}")


def wait_for_file(name):
    import time
    until = time.monotonic() + 30
    while not os.path.exists(path_of(name)):
        if time.monotonic() > until:
            raise RuntimeError(f"no file '{name}'")
        time.sleep(0.01)


def check_data_parallel():
    torch.manual_seed(0)
    model = torch.nn.parallel.DistributedDataParallel(torch.nn.Linear(64, 64))
    torch.manual_seed(rank)
    model(torch.randn(8, 64)).pow(2).mean().backward()
    first = model.module.weight.grad.clone()
    dist.broadcast(first, 0)
    same("gradients", model.module.weight.grad, first)


dist.init_process_group("nccl_cpu", init_method="file://" + os.environ["LINA_RENDEZVOUS"] + "/torch", rank=rank,
                        world_size=nranks)
check_reductions()
check_gathers()
check_all_to_all()
check_point_to_point()
check_groups()
check_streams()
check_data_parallel()
dist.barrier()
nccl_cpu.close()
print("all right")
