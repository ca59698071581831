"""A model's parameters as one flat tensor: which there are, in which order, and whether they fit."""

import hashlib

import torch

from .core import DataType

TYPES = {
    torch.float16: DataType.float16,
    torch.float32: DataType.float32,
    torch.float64: DataType.float64,
    torch.bfloat16: DataType.bfloat16,
}


class Parameters:
    """The parameters that DDP reduces, one behind the other in the model's order."""

    def __init__(self, model):
        if isinstance(model, torch.nn.parallel.DistributedDataParallel):
            model = model.module
        ignored = set(getattr(model, "_ddp_params_and_buffers_to_ignore", ()))
        named = [(name, p) for name, p in model.named_parameters()
                 if p.requires_grad and name not in ignored]  # fmt: skip
        if not named:
            raise ValueError("model: expected parameters that require a gradient, found none")
        self.names = [name for name, _ in named]
        self._all = [parameter for _, parameter in named]
        self._indices = {id(parameter): i for i, parameter in enumerate(self._all)}
        self.dtype = self._all[0].dtype
        for name, parameter in named:
            self._require(name, parameter)
        _require_no_sparse_embedding(model)
        self.count = sum(parameter.numel() for parameter in self._all)

    def _require(self, name, parameter):
        if parameter.device.type == "cuda":
            raise TypeError(
                f"parameter {name}: expected it on the CPU, found it on {parameter.device}. On GPUs "
                "let DDP use NCCL, and start the program with LD_PRELOAD=libsparccl-nccl.so"
            )
        if parameter.device.type != "cpu":
            raise TypeError(f"parameter {name}: expected it on the CPU, found {parameter.device}")
        if parameter.dtype not in TYPES:
            known = ", ".join(str(known) for known in TYPES)
            raise TypeError(f"parameter {name}: expected one of {known}, found {parameter.dtype}")
        if parameter.dtype != self.dtype:
            raise TypeError(
                f"parameter {name}: expected {self.dtype}, as {self.names[0]} has, found "
                f"{parameter.dtype}"
            )

    def views(self, flat):
        sizes = [parameter.numel() for parameter in self._all]
        return [part.view(p.shape) for part, p in zip(flat.split(sizes), self._all)]

    def index_of(self, parameter):
        index = self._indices.get(id(parameter))
        if index is None:
            raise ValueError(
                "bucket: expected parameters of the model that this SparcclState was made for, found "
                f"another, of shape {list(parameter.shape)}"
            )
        return index

    def require_all(self, indices):
        missing = set(range(len(self._all))) - set(indices)
        if missing:
            names = ", ".join(self.names[i] for i in sorted(missing))
            raise ValueError(f"buckets: expected every parameter in one, found none with {names}")

    def signature(self):
        """Memory order counts, since DDP's gradients are laid out as the parameters are."""
        return [(n, list(p.shape), list(p.stride())) for n, p in zip(self.names, self._all)]

    def digest(self):
        return hashlib.sha256(repr(self.signature()).encode()).hexdigest()[:12]

    def require_signature(self, found):
        expected = self.signature()
        found = [tuple(entry) for entry in found]
        if len(expected) != len(found):
            raise ValueError(
                f"sparccl state: parameters: expected {len(expected)}, found {len(found)}"
            )
        for ours, theirs in zip(expected, found):
            if ours != theirs:
                raise ValueError(
                    f"sparccl state: parameter: expected {_show(*ours)}, found {_show(*theirs)}"
                )


def _show(name, shape, stride):
    return f"{name} of shape {shape} and stride {stride}"


def _require_no_sparse_embedding(model):
    for name, module in model.named_modules():
        if getattr(module, "sparse", False) and hasattr(module, "weight"):
            raise TypeError(
                f"parameter {name}.weight: expected dense gradients, found sparse=True in its "
                f"{type(module).__name__}"
            )
