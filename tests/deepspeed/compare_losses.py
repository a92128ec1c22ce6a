"""Compares the losses of two training runs, rank by rank and step by step (train.py).

Usage: compare_losses.py A B RANKS BOUND     of A.RANK and B.RANK; BOUND 0: every bit of every loss
The first step's loss must be the same in every bit in any case: nothing was summed over ranks before it. A run whose
loss does not fall has learnt nothing, and its equality says nothing."""
import sys

first, second, nranks, bound = sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4])
LEAST_FALL = 1.0


def losses(path, rank):
    with open(f"{path}.{rank}") as file:
        return [float.fromhex(line) for line in file]


worst, equal, total = 0.0, 0, 0
for rank in range(nranks):
    one, other = losses(first, rank), losses(second, rank)
    if len(one) < 2 or len(one) != len(other):
        sys.exit(f"rank {rank}: {len(one)} and {len(other)} losses")
    if one[0] != other[0]:
        sys.exit(f"rank {rank}: the first loss is {one[0]!r} and {other[0]!r}")
    if not one[0] - one[-1] >= LEAST_FALL:
        sys.exit(f"rank {rank}: the loss does not fall: {one[0]} at first, {one[-1]} at last")
    worst = max(worst, *(abs(a - b) for a, b in zip(one, other)))
    equal += sum(a == b for a, b in zip(one, other))
    total += len(one)
print(f"{nranks} ranks: {equal} of {total} losses the same in every bit, the rest within {worst:.2g}")
sys.exit(0 if worst <= bound else f"more than {bound} apart")
