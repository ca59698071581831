"""The C API with exceptions for codes: what sparccl.h says about a function holds for its method."""

import ctypes
import enum
import os
import weakref

from ._library import ALL_GATHER, Config, Stats, Transport, library, versioned


class Result(enum.IntEnum):
    success = 0
    unhandled_cuda_error = 1
    system_error = 2
    internal_error = 3
    invalid_argument = 4
    invalid_usage = 5
    remote_error = 6
    in_progress = 7
    mismatch = 8
    bad_packet = 9
    bad_state = 10
    non_finite = 11
    timeout = 12
    aborted = 13


class DataType(enum.IntEnum):
    float16 = 6
    float32 = 7
    float64 = 8
    bfloat16 = 9


class Path(enum.IntEnum):
    auto, dense, allgather, split, hierarchical = range(5)


class Reduction(enum.IntEnum):
    sum = 0
    avg = 4


class SparcclError(RuntimeError):
    """code: a Result. The text says what was expected and what was found."""

    def __init__(self, code, sentence):
        self.code = Result(code)
        super().__init__(f"{self.code.name}: {sentence}")


def _raise(code, cause=None):
    sentence = library().sparcclGetLastError(None).decode(errors="replace")
    if cause is None:
        raise SparcclError(code, sentence)
    if not isinstance(cause, Exception):  # KeyboardInterrupt, SystemExit
        raise cause
    raise SparcclError(code, f"{sentence}: {type(cause).__name__}: {cause}") from cause


class _Gather:
    """all_gather as C calls it. Nothing may be thrown through C: what is raised waits here."""

    def __init__(self, size, function):
        self.raised = None

        def call(_context, slots, bytes_per_rank):
            try:
                view = (ctypes.c_uint8 * (size * bytes_per_rank)).from_address(slots)
                function(view, bytes_per_rank)
                return 0
            except BaseException as error:  # pylint: disable=broad-except
                self.raised = error
                return 1

        self.pointer = ALL_GATHER(call)

    def take(self):
        raised, self.raised = self.raised, None
        return raised


def _destroy(function, handle, _alive):
    function(handle)


class Communicator:
    """This rank's end of a group of ranks that reach each other by a function of the caller's.

    all_gather(slots, bytes_per_rank): slots is a writable buffer, [size][bytes_per_rank] bytes of
    which slot `rank` is to be sent and the others are to be filled, valid until it returns. What it
    raises is the cause of the SparcclError that the call then raises. It must not refer to this
    object, which would keep both alive for ever.
    """

    def __init__(self, rank, size, all_gather):
        self.rank, self.size = rank, size
        self._gather = _Gather(size, all_gather)
        transport = versioned(Transport)
        transport.rank, transport.nranks = rank, size
        transport.allGather = self._gather.pointer
        handle = ctypes.c_void_p()
        self.check(
            library().sparcclCommInitTransport(
                ctypes.byref(handle), ctypes.byref(transport), None
            )
        )
        self.handle = handle
        self._close = weakref.finalize(
            self, _destroy, library().sparcclCommDestroy, handle, self._gather
        )

    def check(self, code):
        if code != 0:
            _raise(code, self._gather.take())

    def abort(self):
        """From any thread. All later calls fail; a wait that is under way ends when all_gather does."""
        self.check(library().sparcclCommAbort(self.handle))

    def close(self):
        self._close()


class Tensor:
    """Residual and history of one named tensor of `count` entries. Not collective to make."""

    def __init__(
        self, communicator, name, count, dtype, *, density=0.001, k=None, mu=2.0, wire=None,
        path="allgather"
    ):
        config = versioned(Config)
        config.density, config.k, config.mu = density, k or 0, mu
        config.wire = -1 if wire is None else DataType(wire)
        config.path = Path[path]
        self._communicator = communicator
        self.handle = ctypes.c_void_p()
        self._check(
            library().sparcclTensorCreate(
                communicator.handle, name.encode(), count, DataType(dtype), ctypes.byref(config),
                ctypes.byref(self.handle),
            )
        )  # fmt: skip
        self._close = weakref.finalize(
            self, _destroy, library().sparcclTensorDestroy, self.handle, communicator
        )

    def _check(self, code):
        self._communicator.check(code)

    def all_reduce(self, send, recv, reduction=Reduction.sum, loss_scale=1.0):
        """send, recv: addresses of [count] entries in host memory, equal or disjoint. Blocks."""
        self._check(
            library().sparcclTensorAllReduce(
                self.handle, send, recv, Reduction(reduction), loss_scale, None
            )
        )

    def set_density(self, density):
        self._check(library().sparcclTensorSetDensity(self.handle, density))

    def set_mu(self, mu):
        self._check(library().sparcclTensorSetMu(self.handle, mu))

    def set_path(self, path):
        self._check(library().sparcclTensorSetPath(self.handle, Path[path]))

    def path(self):
        """The path of the next call, and why: ("split", "asked for")."""
        number, reason = ctypes.c_int(), ctypes.create_string_buffer(512)
        self._check(
            library().sparcclTensorGetPath(self.handle, ctypes.byref(number), reason, len(reason))
        )
        return Path(number.value).name, reason.value.decode()

    def save(self, path):
        self._check(library().sparcclTensorSave(self.handle, os.fsencode(path)))

    def load(self, path):
        self._check(library().sparcclTensorLoad(self.handle, os.fsencode(path)))

    def stats(self):
        """The fields of sparcclStats_t as a dict: steps, entries, wireBytes, waitSeconds, ..."""
        stats = versioned(Stats)
        self._check(library().sparcclTensorGetStats(self.handle, ctypes.byref(stats)))
        return {name: getattr(stats, name) for name, _ in Stats._fields_[3:]}

    def close(self):
        self._close()
