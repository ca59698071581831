"""A communication hook for DistributedDataParallel on CPUs:

    ddp = torch.nn.parallel.DistributedDataParallel(model)
    state = SparcclState(ddp, density=0.001)
    ddp.register_comm_hook(state, sparccl_hook)

The residual is over all parameters in the model's order, not one per bucket: DDP arranges its buckets
anew after the first iteration, which would mix residuals up, and a resumed run would never match.
"""

import os
import tempfile

import torch
import torch.distributed as dist

from ._parameters import TYPES, Parameters
from .core import Communicator, Reduction, Tensor

_FORMAT = 1


def sparccl_hook(state, bucket):
    """What ddp.register_comm_hook takes besides a SparcclState."""
    return state.reduce(bucket)


class SparcclState:
    """What the hook keeps between iterations. Collective: every rank of the job makes it.

    model: the module, or the DistributedDataParallel around it. Its parameters that require a
    gradient must be of one type (float16, bfloat16, float32, float64) and on the CPU, and stay so.
    process_group: a Gloo group of the same ranks as DDP's. None makes one over all ranks; timeout (a
    timedelta) is then how long it waits for a rank.
    density, mu, wire: as in sparccl.hpp; wire is a torch.dtype or None. The result is the mean, as
    DDP's is. The first start_iteration iterations are dense.

    Raises TypeError or ValueError where the model does not fit. Where ranks disagree or one is lost,
    backward() raises what DDP makes of a SparcclError: a RuntimeError with its sentence. DDP itself
    does not go on after that.
    """

    def __init__(self, model, process_group=None, *, density=0.001, mu=2.0, wire=None,
                 start_iteration=0, timeout=None):  # fmt: skip
        self._parameters = Parameters(model)
        if wire is not None and wire not in TYPES:
            raise TypeError(f"wire: expected a floating-point torch.dtype or None, found {wire}")
        if process_group is None:
            limit = {} if timeout is None else {"timeout": timeout}
            process_group = dist.new_group(backend="gloo", **limit)
        _require_group(process_group, model)
        self._group = process_group
        self.rank, self.world_size = dist.get_rank(process_group), dist.get_world_size(process_group)
        self.start_iteration = start_iteration
        self.iteration = 0  # of those that were reduced
        self._density = density
        self._communicator = Communicator(
            self.rank, self.world_size, _gather_over(process_group, self.rank, self.world_size)
        )
        self._tensor = Tensor(
            self._communicator,
            f"parameters {self._parameters.digest()}",  # ranks with another model are told so
            self._parameters.count,
            TYPES[self._parameters.dtype],
            density=density,
            mu=mu,
            wire=None if wire is None else TYPES[wire],
        )
        self._flat = torch.zeros(self._parameters.count, dtype=self._parameters.dtype)
        self._views = self._parameters.views(self._flat)
        self._pending = []  # of this iteration's buckets: (buffer, gradients, indices, future)
        self._before = {"wire": 0, "dense": 0}  # bytes of other processes and of dense iterations

    # What it did.

    @property
    def density(self):
        return self._density

    def set_density(self, density):
        """From the next iteration on; the same on every rank."""
        self._tensor.set_density(density)
        self._density = density

    @property
    def wire_bytes(self):
        """Bytes that this rank has sent for gradients, counted as in a ring: P - 1 packets a step.
        Runs that were resumed count on."""
        return self._before["wire"] + self._tensor.stats()["wireBytes"]

    @property
    def dense_bytes(self):
        """What a dense ring allreduce would have sent for them: 2 (P - 1) / P of the tensor a step."""
        return self._before["dense"] + self._tensor.stats()["denseBytes"]

    def stats(self):
        """sparcclStats_t of this process's sparse iterations, as a dict."""
        return self._tensor.stats()

    # The hook.

    @torch.no_grad()
    def reduce(self, bucket):
        """Called for every bucket, in order; the last one completes the futures of all."""
        if bucket.index() == 0:
            self._pending.clear()  # of a backward pass that was cut off
        buffer, parameters = bucket.buffer(), bucket.parameters()
        indices = [self._parameters.index_of(parameter) for parameter in parameters]
        _require_buffer(buffer, self._flat, [self._parameters.names[i] for i in indices])
        gradients = bucket.gradients()
        for index, gradient in zip(indices, gradients):
            self._views[index].copy_(gradient)
        future = torch.futures.Future()
        self._pending.append((buffer, gradients, indices, future))
        if bucket.is_last():
            pending, self._pending = self._pending, []
            self._parameters.require_all(i for _, _, indices, _ in pending for i in indices)
            self._average()
            for buffer, gradients, indices, each in pending:
                for index, gradient in zip(indices, gradients):
                    gradient.copy_(self._views[index])
                each.set_result(buffer)
        return future

    def _average(self):
        if self.iteration >= self.start_iteration:
            self._tensor.all_reduce(self._flat.data_ptr(), self._flat.data_ptr(), Reduction.avg)
        else:
            wide = self._flat if self._flat.element_size() > 2 else self._flat.float()
            dist.all_reduce(wide, group=self._group)
            self._flat.copy_(wide / self.world_size)
            for kind, tensor in (("wire", wide), ("dense", self._flat)):
                size = tensor.numel() * tensor.element_size()
                self._before[kind] += 2 * (self.world_size - 1) * size // self.world_size
        self.iteration += 1

    # Checkpoints.

    def state_dict(self):
        """Of this rank: every rank saves its own. Not collective. Passes through a temporary file."""
        with tempfile.TemporaryDirectory(prefix="sparccl-") as folder:
            path = os.path.join(folder, "state")
            self._tensor.save(path)
            with open(path, "rb") as file:
                saved = bytearray(file.read())
        return {
            "format": _FORMAT,
            "world_size": self.world_size,
            "rank": self.rank,
            "dtype": str(self._parameters.dtype),
            "parameters": self._parameters.signature(),
            "iteration": self.iteration,
            "density": self._density,
            "wire_bytes": self.wire_bytes,
            "dense_bytes": self.dense_bytes,
            "tensor": torch.frombuffer(saved, dtype=torch.uint8),
        }

    def load_state_dict(self, state):
        """The density comes with it. Raises ValueError, and changes nothing, where it is of another
        rank, world size, type or model; SparcclError where its bytes are damaged."""
        expected = {
            "format": _FORMAT,
            "world_size": self.world_size,
            "rank": self.rank,
            "dtype": str(self._parameters.dtype),
        }
        for key, value in expected.items():
            if state.get(key) != value:
                raise ValueError(
                    f"sparccl state: {key}: expected {value!r}, found {state.get(key)!r}"
                )
        self._parameters.require_signature(state["parameters"])
        with tempfile.TemporaryDirectory(prefix="sparccl-") as folder:
            path = os.path.join(folder, "state")
            with open(path, "wb") as file:
                file.write(state["tensor"].numpy().tobytes())
            self._tensor.load(path)
        self.set_density(state["density"])
        self.iteration = state["iteration"]
        stats = self._tensor.stats()
        for kind in ("wire", "dense"):
            self._before[kind] = state[f"{kind}_bytes"] - stats[f"{kind}Bytes"]

    def close(self):
        self._tensor.close()
        self._communicator.close()


def _gather_over(group, rank, size):
    def all_gather(slots, bytes_per_rank):
        rows = list(torch.frombuffer(slots, dtype=torch.uint8).view(size, bytes_per_rank))
        dist.all_gather(rows, rows[rank], group=group)

    return all_gather


def _require_group(group, model):
    if dist.get_backend(group) != "gloo":
        raise ValueError(f"process_group: expected backend gloo, found {dist.get_backend(group)}")
    if not isinstance(model, torch.nn.parallel.DistributedDataParallel):
        return
    expected, found = dist.get_world_size(model.process_group), dist.get_world_size(group)
    if found != expected:
        raise ValueError(f"process_group: expected the {expected} ranks of DDP's, found {found}")


def _require_buffer(buffer, flat, names):
    whose = names[0] if len(names) == 1 else f"{names[0]} to {names[-1]}"
    if buffer.layout != torch.strided:
        raise TypeError(f"gradient of {whose}: expected a dense one, found {buffer.layout}")
    if buffer.device.type != "cpu" or buffer.dtype != flat.dtype:
        raise TypeError(
            f"gradient of {whose}: expected {flat.dtype} on the CPU, found {buffer.dtype} on "
            f"{buffer.device}"
        )
