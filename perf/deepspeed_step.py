"""One rank of perf/deepspeed: training steps of unmodified DeepSpeed, over one network after the other. Run under
lina-launch; rank 0 writes and prints."""
import argparse
import os
import statistics
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests", "deepspeed"))
import job
import nccl_cpu
import streams
import torch
import torch.distributed as dist

PARTS = ("forward", "backward", "update", "waited")


def numbers(least, most):
    """What an option takes: whole numbers in that range, separated by commas."""
    def read(text):
        values = [int(word) if word.isdecimal() else -1 for word in text.split(",")]
        if not all(least <= value <= most for value in values):
            raise argparse.ArgumentTypeError(f"'{text}' is not a list of numbers from {least} to {most}")
        return values
    return read


def step(engine, batch):
    """Begin, end of the forward pass, of the backward pass with its gradients, of the update; time of it that the
    program waited for collectives."""
    dist.barrier()
    waited_s = streams.default_stream.waited_s
    times = [time.monotonic()]
    _, cost = engine(*batch)
    times.append(time.monotonic())
    engine.backward(cost)
    times.append(time.monotonic())
    engine.step()
    streams.synchronize_all()
    times.append(time.monotonic())
    return times + [streams.default_stream.waited_s - waited_s]


def figures(samples):
    """Of each sample of all ranks, in ms: from the moment when the last rank began to that when the last one ended; the
    parts of it, and what was waited, on the mean of the ranks."""
    whole = (samples[:, :, 3].amax(1) - samples[:, :, 0].amax(1)) * 1e3
    parts = torch.stack([samples[:, :, i + 1] - samples[:, :, i] for i in range(3)] + [samples[:, :, 4]]).mean(2) * 1e3
    return whole.tolist(), dict(zip(PARTS, parts.tolist()))


def measure(engine, batches):
    """{network: (steps, parts)}, in ms."""
    samples = {net: [] for net in nets}
    for round_ in range(-1, arguments.rounds):
        for net in nets if round_ % 2 == 0 else reversed(nets):
            nccl_cpu.network(net)
            taken = step(engine, batches.next())
            if round_ >= 0:
                samples[net].append(taken)
    nccl_cpu.network(nets[0])
    all_ranks = {}
    for net in nets:
        mine = torch.tensor(samples[net], dtype=torch.float64)
        parts = [torch.empty_like(mine) for _ in range(job.nranks)]
        dist.all_gather(parts, mine)
        all_ranks[net] = figures(torch.stack(parts, dim=1))
    return all_ranks


def quantile(values, part):
    ordered = sorted(values)
    return ordered[round(part * (len(ordered) - 1))]


def report(overlap, bucket, measured, table, all_samples):
    first = measured[nets[0]][0]
    for net in nets:
        steps, parts = measured[net]
        ratios = [one / other for one, other in zip(steps, first)]
        medians = [statistics.median(steps), quantile(steps, 0.1), quantile(steps, 0.9)]
        medians += [statistics.median(parts[part]) for part in PARTS]
        medians += [statistics.median(ratios), quantile(ratios, 0.1), quantile(ratios, 0.9)]
        print(f"{overlap:<7} {bucket:>8} {net:<7} {medians[0]:7.0f} ({medians[1]:5.0f} to {medians[2]:5.0f}) "
              + " ".join(f"{value:8.0f}" for value in medians[3:7])
              + f"  {medians[7]:.3f} ({medians[8]:.3f} to {medians[9]:.3f})", flush=True)
        print(overlap, bucket, net, *(f"{value:.4f}" for value in medians), sep="\t", file=table)
        for round_, value in enumerate(steps):
            print(overlap, bucket, net, round_, f"{value:.3f}", *(f"{parts[part][round_]:.3f}" for part in PARTS),
                  sep="\t", file=all_samples)


parser = job.options(__doc__)
parser.set_defaults(layers=6, moe_every=1, width=128, sequence=128, batch=2, topk=1,
                    capacity=1.0, expert_width=32, compute_ms=36)
parser.add_argument("--nets", default="Socket,fifo,lina", help="the first is what the others are compared with")
parser.add_argument("--overlap", type=numbers(0, 1), default="1,0", help="values of overlap_comm")
parser.add_argument("--buckets", type=numbers(1, 10**9), default="75000,140000,280000", help="values of reduce_bucket_size, in elements")
parser.add_argument("--rounds", type=int, choices=range(1, 10001), default=10, metavar="N", help="steps on each network")
parser.add_argument("--output", default=os.devnull, help="OUTPUT.tsv and OUTPUT.samples.tsv")
arguments = parser.parse_args()
nets = arguments.nets.split(",")
nccl_cpu.network(nets[0])
job.begin(arguments)
prefix = arguments.output if job.rank == 0 and arguments.output != os.devnull else None
with open(f"{prefix}.tsv" if prefix else os.devnull, "w") as table, \
        open(f"{prefix}.samples.tsv" if prefix else os.devnull, "w") as all_samples:
    names = ["overlap", "bucket", "net"]
    print(*names, "step_ms", "step_p10", "step_p90", *(part + "_ms" for part in PARTS), "ratio", "ratio_p10", "ratio_p90",
          sep="\t", file=table)
    print(*names, "round", "step_ms", *(part + "_ms" for part in PARTS), sep="\t", file=all_samples)
    if job.rank == 0:
        print("overlap   bucket net        step ms                 forward backward   update   waited  ratio")
    for arguments.overlap_comm in arguments.overlap:
        for arguments.bucket in arguments.buckets:
            engine = job.engine(arguments)
            measured = measure(engine, job.Batches(arguments))
            if job.rank == 0:
                report(arguments.overlap_comm, arguments.bucket, measured, table, all_samples)
job.end(arguments)
