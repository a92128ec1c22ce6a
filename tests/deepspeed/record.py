"""One rank of a training run that records its routing: which experts each token goes to at every layer.

Into OUTPUT: held-NNNNN.npy.gz, the held-out text after NNNNN steps of training, [tokens][layers][topk], the best choice
first; counts.json.gz, the choices of each step's tokens of all ranks, [steps][layers][experts]; losses.txt, step and mean
loss of all ranks. Run under lina-launch; rank 0 writes."""
import gzip
import io
import json

import job
import numpy
import torch
import torch.distributed as dist


class Recorder:
    """What the gates of the model choose, from when start() is called."""

    def __init__(self, model):
        self.gates = model.gates()
        self.choices = [[] for _ in self.gates]
        for layer, gate in enumerate(self.gates):
            gate.register_forward_hook(lambda gate, into, out, layer=layer: self._note(layer, gate, into[0], out[2]))

    def _note(self, layer, gate, states, sent):
        """The gate's own arithmetic once more. What it sends is what it chose, less what was above an expert's capacity."""
        with torch.no_grad():
            chosen = torch.nn.functional.linear(states.float(), gate.wg.weight.float()).topk(gate.k).indices
            among = torch.zeros(sent.shape[:2], dtype=torch.bool).scatter_(1, chosen, True)
            if (sent.any(dim=2) & ~among).any():
                raise RuntimeError(f"layer {layer}: a token went to an expert that it did not choose")
            self.choices[layer].append(chosen)

    def take(self):
        """[tokens][layers][topk] of this rank since the last take."""
        taken = torch.stack([torch.cat(parts) for parts in self.choices], dim=1)
        self.choices = [[] for _ in self.gates]
        return taken


def all_ranks(tensor):
    """Those of all ranks, one after the other."""
    parts = [torch.empty_like(tensor) for _ in range(job.nranks)]
    dist.all_gather(parts, tensor)
    return torch.cat(parts)


def write(name, content):
    """A file that is the same for the same content."""
    with open(f"{arguments.output}/{name}", "wb") as file:
        with gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0) as packed:
            packed.write(content)


def record_held(step):
    """Every rank takes its part of the held-out text, in order."""
    engine.eval()
    sequences = batches.held[:-1].view(-1, arguments.sequence).chunk(job.nranks)[job.rank]
    with torch.no_grad():
        for some in sequences.split(arguments.batch):
            engine(some, some)
    engine.train()
    experts = all_ranks(recorder.take().to(torch.uint8))
    if job.rank == 0:
        content = io.BytesIO()
        numpy.save(content, experts.numpy())
        write(f"held-{step:05}.npy.gz", content.getvalue())


def record_step(loss):
    chosen = recorder.take()
    counted = torch.stack([torch.bincount(chosen[:, layer].flatten(), minlength=arguments.experts)
                           for layer in range(chosen.shape[1])])
    dist.all_reduce(counted)
    dist.all_reduce(loss)
    counts.append(counted.tolist())
    losses.append(loss.item() / job.nranks)


parser = job.options(__doc__)
parser.add_argument("--held", type=int, default=16384, help="tokens of the held-out text")
parser.add_argument("--stages", default="0,50,200", help="steps after which it is recorded, beside the last")
parser.add_argument("output")
arguments = parser.parse_args()
job.begin(arguments)
engine = job.engine(arguments)
batches = job.Batches(arguments, arguments.held + 1)
recorder = Recorder(engine.module)
stages = {int(stage) for stage in arguments.stages.split(",")} | {arguments.steps}
counts, losses = [], []
for step in range(arguments.steps + 1):
    if step in stages:
        record_held(step)
    if step < arguments.steps:
        record_step(torch.tensor(job.step(engine, batches.next())))
    if job.rank == 0 and step % 20 == 0 and losses:
        print(f"step {step}: loss {sum(losses[-20:]) / len(losses[-20:]):.3f}", flush=True)
if job.rank == 0:
    write("counts.json.gz", json.dumps(counts, separators=(",", ":")).encode())
    with open(f"{arguments.output}/losses.txt", "w") as file:
        file.writelines(f"{step} {loss:.4f}\n" for step, loss in enumerate(losses))
job.end(arguments)
