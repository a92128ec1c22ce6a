"""PyTorch's own gloo as a backend "gloo_cpu", with the one call that DeepSpeed makes and gloo (PyTorch 1.13) lacks."""
import torch.distributed as dist


class ProcessGroup(dist.ProcessGroupGloo):
    def _allgather_base(self, out, into, opts=None):
        return self.allgather([list(out.view(self.size(), -1).unbind())], [into.view(-1)])


def create(store, rank, size, timeout):
    return ProcessGroup(store, rank, size, timeout)


dist.Backend.register_backend("gloo_cpu", create)
