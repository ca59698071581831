"""What the tests that run under torchrun share: models, and ways to compare ranks."""

import sys
import unittest

import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

from sparccl.torch_hook import SparcclState, sparccl_hook


class Net(torch.nn.Module):
    """Layers are used in another order than they are defined in, so that DDP, which first arranges
    its buckets by definition, arranges them anew after one iteration."""

    def __init__(self):
        super().__init__()
        self.last = torch.nn.Linear(40, 7)
        self.first = torch.nn.Linear(20, 300)
        self.middle = torch.nn.Linear(300, 40)

    def forward(self, x):
        return self.last(torch.tanh(self.middle(torch.tanh(self.first(x)))))


class Given(torch.nn.Module):
    """Its gradient is its input."""

    def __init__(self, count=6, dtype=torch.float32):
        super().__init__()
        self.w = torch.nn.Parameter(torch.zeros(count, dtype=dtype))

    def forward(self, x):
        return (self.w * x).sum()


class Bucket:
    """What DDP hands to a hook, where DDP itself cannot be had."""

    def __init__(self, index, last, *parameters_and_gradients):
        self._index, self._last = index, last
        self._parameters, gradients = zip(*parameters_and_gradients)
        self._buffer = torch.cat([gradient.reshape(-1) for gradient in gradients])

    def index(self):
        return self._index

    def is_last(self):
        return self._last

    def buffer(self):
        return self._buffer

    def parameters(self):
        return list(self._parameters)

    def gradients(self):
        parts = self._buffer.split([p.numel() for p in self._parameters])
        return [part.view(p.shape) for part, p in zip(parts, self._parameters)]


def make(kind=Net, seed=3, dtype=torch.float32, **options):
    """A DDP with several buckets where there is enough for them."""
    torch.manual_seed(seed)
    dist._DEFAULT_FIRST_BUCKET_BYTES = 1024
    return DistributedDataParallel(kind().to(dtype), bucket_cap_mb=0.02, **options)


def with_hook(ddp, **options):
    state = SparcclState(ddp, **options)
    ddp.register_comm_hook(state, sparccl_hook)
    return state


def batch(step, dtype=torch.float32):
    """This rank's own."""
    generator = torch.Generator().manual_seed(1000 * dist.get_rank() + step)
    return torch.randn(16, 20, generator=generator).to(dtype)


def backward(model, x):
    model.zero_grad()
    output = model(x)
    (output if output.dim() == 0 else output.square().mean()).backward()


def descend(model):
    with torch.no_grad():
        for parameter in model.parameters():
            parameter -= 0.1 * parameter.grad


def gradients(model):
    return torch.cat([p.grad.reshape(-1) for p in model.parameters()])


def of_all_ranks(value):
    values = [None] * dist.get_world_size()
    dist.all_gather_object(values, value)
    return values


class TestCase(unittest.TestCase):
    def assert_same_bits(self, found, expected):
        self.assertEqual(found.dtype, expected.dtype)
        self.assertEqual(found.shape, expected.shape)
        if not bytes(found.contiguous().view(torch.uint8).numpy()) == bytes(
            expected.contiguous().view(torch.uint8).numpy()
        ):
            off = (found != expected).nonzero().reshape(-1)
            self.fail(f"{len(off)} of {found.numel()} differ, first {off[:3].tolist()}")

    def assert_same_on_all_ranks(self, tensor):
        for other in of_all_ranks(tensor.detach()):
            self.assert_same_bits(other, tensor.detach())


def main():
    """A rank that fails ends at once, and torchrun ends the others: they may wait for it."""
    dist.init_process_group("gloo")
    outcome = unittest.main(exit=False, failfast=True, verbosity=2 - dist.get_rank()).result
    if not outcome.wasSuccessful():
        sys.exit(1)
    dist.barrier()
    dist.destroy_process_group()
