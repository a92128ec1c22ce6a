"""A small GPT in which every few layers a mixture of DeepSpeed's experts stands for the feed-forward part."""
import time

import torch
from deepspeed.moe.layer import MoE
from torch import nn
from torch.nn import functional


class DeviceTime(torch.autograd.Function):
    """A device that computes so long, and twice as long in the backward pass, without the processors' help."""

    @staticmethod
    def forward(context, states, seconds):
        context.seconds = seconds
        time.sleep(seconds)
        return states.view_as(states)

    @staticmethod
    def backward(context, gradient):
        time.sleep(2 * context.seconds)
        return gradient, None


class Attention(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.into, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, states):
        count, sequence, width = states.shape
        query, key, value = (part.view(count, sequence, self.heads, -1).transpose(1, 2)
                             for part in self.into(states).split(width, dim=2))
        scores = query @ key.transpose(2, 3) * key.shape[3] ** -0.5
        future = torch.ones(sequence, sequence, dtype=torch.bool).triu(1)
        mixed = scores.masked_fill(future, float("-inf")).softmax(dim=3) @ value
        return self.out(mixed.transpose(1, 2).reshape(count, sequence, width))


def feed_forward(width, inner):
    return nn.Sequential(nn.Linear(width, inner), nn.GELU(), nn.Linear(inner, width))


class Layer(nn.Module):
    """`experts` is 0 in a layer without. Returns the states, and what the gate's balance costs."""

    def __init__(self, shape, experts):
        super().__init__()
        self.attention = Attention(shape.width, shape.heads)
        self.before, self.between = nn.LayerNorm(shape.width), nn.LayerNorm(shape.width)
        self.seconds = shape.compute_ms / 1e3
        if experts:
            self.forward_part = MoE(
                shape.width, feed_forward(shape.width, shape.expert_width), num_experts=experts,
                ep_size=shape.expert_parallel, k=shape.topk, capacity_factor=shape.capacity, eval_capacity_factor=shape.capacity,
                min_capacity=4, use_rts=False, top2_2nd_expert_sampling=False)
        else:
            self.forward_part = feed_forward(shape.width, 4 * shape.width)

    def forward(self, states):
        states = states + self.attention(self.before(states))
        if self.seconds:
            states = DeviceTime.apply(states, self.seconds)
        out = self.forward_part(self.between(states))
        if isinstance(out, tuple):
            return states + out[0], out[1]
        return states + out, 0.0


class Gpt(nn.Module):
    def __init__(self, shape):
        super().__init__()
        self.token, self.place = nn.Embedding(shape.vocabulary, shape.width), nn.Embedding(shape.sequence, shape.width)
        for embedding in self.token, self.place:
            nn.init.normal_(embedding.weight, std=0.02)
        self.layers = nn.ModuleList(
            Layer(shape, shape.experts if layer % shape.moe_every == shape.moe_every - 1 else 0)
            for layer in range(shape.layers))
        self.norm = nn.LayerNorm(shape.width)
        self.balance = shape.balance

    def forward(self, tokens, wanted):
        states = self.token(tokens) + self.place(torch.arange(tokens.shape[1]))
        cost = 0.0
        for layer in self.layers:
            states, more = layer(states)
            cost = cost + more
        logits = self.norm(states) @ self.token.weight.t()
        loss = functional.cross_entropy(logits.flatten(0, 1), wanted.flatten())
        return loss, loss + self.balance * cost

    def gates(self):
        """What chooses experts, layer by layer."""
        return [layer.forward_part.deepspeed_moe.gate for layer in self.layers if isinstance(layer.forward_part, MoE)]
