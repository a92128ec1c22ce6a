"""One rank of a job of unmodified DeepSpeed under lina-launch: options, process groups, engine, batches."""
import argparse
import importlib
import os
import sys

os.environ.update(OMP_NUM_THREADS="1", DS_ACCELERATOR="cpu")
sys.dont_write_bytecode = True
rank, nranks = int(os.environ["LINA_RANK"]), int(os.environ["LINA_NRANKS"])
os.environ.update(RANK=str(rank), WORLD_SIZE=str(nranks), LOCAL_RANK="0")

import deepspeed
import torch
import torch.distributed as dist
from deepspeed.accelerator import set_accelerator
from deepspeed.moe.utils import split_params_into_different_moe_groups_for_optimizer

import text
from accelerator import Accelerator
from model import Gpt

FAR = 1000000


def options(description):
    parser = argparse.ArgumentParser(description=description)
    add = parser.add_argument
    add("--backend", default="nccl_cpu", choices=("nccl_cpu", "gloo_cpu"))
    add("--layers", type=int, default=4)
    add("--moe-every", type=int, default=2, help="every how many layers one has experts")
    add("--width", type=int, default=64)
    add("--heads", type=int, default=4)
    add("--expert-width", type=int, default=128, help="inner width of an expert")
    add("--experts", type=int, default=8)
    add("--topk", type=int, default=2)
    add("--capacity", type=float, default=1.25, help="of an expert, times its even share of the tokens")
    add("--expert-parallel", type=int, default=4)
    add("--balance", type=float, default=0.01, help="weight of the gates' balance in the loss")
    add("--vocabulary", type=int, default=256)
    add("--sequence", type=int, default=64)
    add("--batch", type=int, default=2, help="sequences of a rank in a step")
    add("--steps", type=int, default=12)
    add("--rate", type=float, default=3e-3, help="of learning")
    add("--text-bytes", type=int, default=1 << 20)
    add("--compute-ms", type=float, default=0, help="a layer's time on a device that this machine does not have, forward")
    add("--zero-stage", type=int, default=2)
    add("--overlap-comm", type=int, default=1, help="DeepSpeed's overlap_comm")
    add("--bucket", type=int, default=20000, help="DeepSpeed's reduce_bucket_size, in elements")
    return parser


def begin(arguments):
    """The process group of all, DeepSpeed's included."""
    deepspeed.utils.logger.setLevel("WARNING")
    set_accelerator(Accelerator(arguments.backend, beside=arguments.backend == "nccl_cpu"))
    importlib.import_module(arguments.backend)  # where it registers itself
    torch.set_num_threads(1)
    store = "file://" + os.environ["LINA_RENDEZVOUS"] + "/torch"
    dist.init_process_group(arguments.backend, init_method=store, rank=rank, world_size=nranks)
    deepspeed.init_distributed(dist_backend=arguments.backend)


def end(arguments):
    if arguments.backend == "nccl_cpu":
        import nccl_cpu
        nccl_cpu.close()


def engine(arguments):
    """DeepSpeed's engine around a model that is the same on every rank but for its experts."""
    torch.manual_seed(1)
    model = Gpt(arguments)
    parameters = {"params": list(model.parameters()), "name": "all"}
    optimizer = torch.optim.Adam(split_params_into_different_moe_groups_for_optimizer(parameters), lr=arguments.rate)
    made, _, _, _ = deepspeed.initialize(model=model, optimizer=optimizer, config={
        "train_micro_batch_size_per_gpu": arguments.batch,
        "steps_per_print": FAR,
        "zero_allow_untested_optimizer": True,
        "zero_optimization": {
            "stage": arguments.zero_stage,
            "overlap_comm": bool(arguments.overlap_comm),
            "reduce_bucket_size": arguments.bucket,
            "allgather_bucket_size": arguments.bucket,
            "contiguous_gradients": True,
        },
    })
    return made


class Batches:
    """Each rank's own, the same in every run. The last `held` tokens of the text are in none."""

    def __init__(self, arguments, held=0):
        self.arguments = arguments
        tokens = text.words(text.read(arguments.text_bytes), arguments.vocabulary)
        self.tokens, self.held = tokens[:len(tokens) - held], tokens[len(tokens) - held:]
        self.generator = torch.Generator().manual_seed(1000 + rank)

    def next(self):
        return text.batch(self.tokens, self.arguments.sequence, self.arguments.batch, self.generator)


def step(made, batch):
    """One training step; returns this rank's loss."""
    loss, cost = made(*batch)
    made.backward(cost)
    made.step()
    return loss.item()
