"""Sparse allreduce with error feedback. sparccl.torch_hook is for PyTorch's DistributedDataParallel."""

from .core import Communicator, DataType, Reduction, Result, SparcclError, Tensor

__version__ = "0.1.0"
__all__ = ["Communicator", "DataType", "Reduction", "Result", "SparcclError", "Tensor"]
