#!/usr/bin/env python3
"""Trains the network of examples/train_mnist with PyTorch's DistributedDataParallel on CPUs.

    torchrun --nproc_per_node 2 python/examples/train_mnist_torch.py --method regtopk

A checkpoint (--checkpoint FILE) is written after every epoch, and every --every steps; --resume goes
on from it, to the bit. It holds the model, the optimizer, the place in the data, and the residual of
every rank: without the last, a resumed run would forget the gradients that were never sent.
"""

import argparse
import gzip
import hashlib
import os
import pathlib
import signal

import numpy as np
import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

DATA = pathlib.Path(__file__).resolve().parents[2] / "examples" / "data" / "mnist"


def arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    option = parser.add_argument
    option("--method", choices=("dense", "topk", "regtopk"), default="regtopk")
    option("--density", type=float, default=0.001, help="share of the gradient that is sent")
    option("--mu", type=float, default=2.0, help="of RegTop-k")
    option("--start", type=int, default=0, help="iterations that are dense before the first sparse one")
    option("--epochs", type=int, default=30)
    option("--batch", type=int, default=128, help="images per step, over all ranks")
    option("--lr", type=float, default=0.4)
    option("--seed", type=int, default=1)
    option("--data", type=pathlib.Path, default=DATA, help="folder of the four IDX files, gzipped")
    option("--checkpoint", type=pathlib.Path, help="file to write, and with --resume to read first")
    option("--every", type=int, default=0, help="steps between checkpoints; 0: after each epoch")
    option("--resume", action="store_true")
    option("--kill-after", type=int, default=0, help="steps after which every rank kills itself: a crash")
    parsed = parser.parse_args()
    if parsed.resume and parsed.checkpoint is None:
        parser.error("--resume: expected --checkpoint FILE, found none")
    return parsed


def read_idx(path):
    """An IDX file of bytes: 2 zeros, type 8, number of dimensions, their sizes big-endian, data."""
    raw = gzip.decompress(path.read_bytes())
    if raw[:3] != b"\0\0\x08":
        raise ValueError(f"{path}: expected an IDX file of bytes, found {raw[:4].hex()} at its start")
    shape = np.frombuffer(raw, ">u4", raw[3], 4)
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * raw[3]).reshape(shape)


def load(folder, part):
    images = read_idx(folder / f"{part}-images-idx3-ubyte.gz").astype(np.float32) / 255
    labels = read_idx(folder / f"{part}-labels-idx1-ubyte.gz").astype(np.int64)
    return torch.from_numpy(images.reshape(len(images), -1)), torch.from_numpy(labels)


def make_model(seed):
    torch.manual_seed(seed)
    layers = []
    for inputs, outputs in ((784, 512), (512, 256), (256, 10)):
        linear = torch.nn.Linear(inputs, outputs)
        torch.nn.init.kaiming_normal_(linear.weight, nonlinearity="relu")
        torch.nn.init.zeros_(linear.bias)
        layers += [linear, torch.nn.ReLU()]
    return torch.nn.Sequential(*layers[:-1])


def share(count, rank, ranks):
    """This rank's part of `count` items, contiguous."""
    return slice(count * rank // ranks, count * (rank + 1) // ranks)


class Run:
    def __init__(self, options):
        self.options = options
        self.rank, self.ranks = dist.get_rank(), dist.get_world_size()
        self.images, self.labels = load(options.data, "train")
        self.tests = load(options.data, "t10k")
        self.model = DistributedDataParallel(make_model(options.seed))
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=options.lr)
        self.sparccl = None
        if options.method != "dense":
            from sparccl.torch_hook import SparcclState, sparccl_hook

            self.sparccl = SparcclState(
                self.model,
                density=options.density,
                mu=options.mu if options.method == "regtopk" else 0.0,
                start_iteration=options.start,
            )
            self.model.register_comm_hook(self.sparccl, sparccl_hook)
        self.step = 0  # in all
        self.steps_per_epoch = len(self.images) // options.batch

    def save(self):
        """All ranks' parts in one file, which is replaced at once: never half of two steps."""
        own = None if self.sparccl is None else self.sparccl.state_dict()
        every = [None] * self.ranks if self.rank == 0 else None
        dist.gather_object(own, every)
        if self.rank != 0:
            return
        unfinished = self.options.checkpoint.with_suffix(".unfinished")
        torch.save(
            {
                "model": self.model.module.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "step": self.step,
                "sparccl": every,
            },
            unfinished,
        )
        os.replace(unfinished, self.options.checkpoint)

    def resume(self):
        saved = torch.load(self.options.checkpoint)
        self.model.module.load_state_dict(saved["model"])
        self.optimizer.load_state_dict(saved["optimizer"])
        self.step = saved["step"]
        if self.sparccl is not None:
            states = saved["sparccl"]
            self.sparccl.load_state_dict(states[self.rank % len(states)] or {})

    def epoch(self):
        """From where the run is to the end of the epoch. Returns the mean loss of its steps."""
        options = self.options
        number, first = divmod(self.step, self.steps_per_epoch)
        shuffled = torch.Generator().manual_seed(options.seed * 100_000 + number)
        order = torch.randperm(len(self.images), generator=shuffled)
        part = share(options.batch, self.rank, self.ranks)
        losses = []
        for i in range(first, self.steps_per_epoch):
            chosen = order[i * options.batch : (i + 1) * options.batch][part]
            self.optimizer.zero_grad()
            output = self.model(self.images[chosen])
            loss = torch.nn.functional.cross_entropy(output, self.labels[chosen], reduction="sum")
            (loss * (self.ranks / options.batch)).backward()
            self.optimizer.step()
            losses.append(loss.detach() * (self.ranks / options.batch))
            self.step += 1
            if self.step == options.kill_after:
                os.kill(os.getpid(), signal.SIGKILL)
            at_end = i + 1 == self.steps_per_epoch
            if options.checkpoint and (self.step % options.every == 0 if options.every else at_end):
                self.save()
        mean = torch.stack(losses).mean()
        dist.all_reduce(mean)
        return mean.item() / self.ranks

    @torch.no_grad()
    def accuracy(self):
        part = share(len(self.tests[0]), self.rank, self.ranks)
        right = (self.model.module(self.tests[0][part]).argmax(1) == self.tests[1][part]).sum()
        dist.all_reduce(right)
        return 100 * right.item() / len(self.tests[0])

    def bytes_sent(self):
        """Per rank and step: sent, and what a dense ring allreduce sends."""
        size = 4 * sum(p.numel() for p in self.model.parameters())
        dense = 2 * (self.ranks - 1) * size / self.ranks
        return (dense if self.sparccl is None else self.sparccl.wire_bytes / self.step), dense

    def say(self, text):
        if self.rank == 0:
            print(text, flush=True)

    def go(self):
        options = self.options
        if options.resume:
            self.resume()
            self.say(f"resumed {options.checkpoint} after step {self.step}")
        while self.step < options.epochs * self.steps_per_epoch:
            loss = self.epoch()
            accuracy = self.accuracy()
            sent, dense = self.bytes_sent()
            self.say(
                f"{options.method}: epoch {self.step // self.steps_per_epoch}, step {self.step}, "
                f"loss {loss:.4f}, test accuracy {accuracy:.2f} %, {sent:,.0f} bytes a step "
                f"(dense {dense:,.0f}, {dense / max(sent, 1):.1f} x)"
            )
        hashes = [None] * self.ranks
        weights = torch.cat([p.detach().view(-1) for p in self.model.parameters()])
        dist.all_gather_object(hashes, hashlib.sha256(weights.numpy()).digest())
        if len(set(hashes)) != 1:
            raise RuntimeError("the ranks ended with different weights")


if __name__ == "__main__":
    parsed_options = arguments()
    dist.init_process_group("gloo")
    Run(parsed_options).go()
    dist.destroy_process_group()
