"""Finds libsparccl and declares the part of its C API that core.py calls."""

import ctypes
import ctypes.util
import functools
import os
import pathlib
import sys
import sysconfig

MAJOR, MINOR = 0, 1
VERSION_CODE = MAJOR * 10000 + MINOR * 100  # of the structs below
NAME = f"libsparccl.so.{MAJOR}.{MINOR}"

ALL_GATHER = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)


class Config(ctypes.Structure):
    """sparcclConfig_t"""

    MAGIC = 0x7370636C
    _fields_ = [
        ("size", ctypes.c_size_t), ("magic", ctypes.c_uint), ("version", ctypes.c_uint),
        ("density", ctypes.c_double), ("k", ctypes.c_uint64), ("mu", ctypes.c_double),
        ("distortion", ctypes.c_int), ("wire", ctypes.c_int), ("nonFinite", ctypes.c_int),
        ("path", ctypes.c_int), ("timeoutMs", ctypes.c_uint64),
        ("ranksPerNode", ctypes.c_int), ("reserved", ctypes.c_int),
    ]  # fmt: skip


class Transport(ctypes.Structure):
    """sparcclTransport_t"""

    MAGIC = 0x73706374
    _fields_ = [
        ("size", ctypes.c_size_t), ("magic", ctypes.c_uint), ("version", ctypes.c_uint),
        ("rank", ctypes.c_int), ("nranks", ctypes.c_int), ("context", ctypes.c_void_p),
        ("allGather", ALL_GATHER), ("allReduce", ctypes.c_void_p),
        ("giveUp", ctypes.c_void_p), ("abort", ctypes.c_void_p),
    ]  # fmt: skip


class Stats(ctypes.Structure):
    """sparcclStats_t"""

    MAGIC = 0x73706373
    COUNTS = ("steps", "nonFiniteSteps", "entries", "fallbacks", "wireBytes", "denseBytes",
              "packetBytes", "residualBytes", "workspaceBytes")  # fmt: skip
    SECONDS = ("wait", "accumulate", "select", "pack", "exchange", "merge")
    _fields_ = (
        [("size", ctypes.c_size_t), ("magic", ctypes.c_uint), ("version", ctypes.c_uint)]
        + [(name, ctypes.c_uint64) for name in COUNTS]
        + [(name + "Seconds", ctypes.c_double) for name in SECONDS]
    )


def versioned(kind):
    """A struct as its INITIALIZER begins it; all else is zero."""
    return kind(size=ctypes.sizeof(kind), magic=kind.MAGIC, version=VERSION_CODE)


def _candidates():
    """Full paths before bare names, which the dynamic linker looks up."""
    prefixes = list(pathlib.Path(__file__).resolve().parents)[1:] + [pathlib.Path(sys.prefix)]
    places = ["lib", "lib64", "lib/" + (sysconfig.get_config_var("MULTIARCH") or "none")]
    for prefix in prefixes:
        for place in places:
            path = prefix / place / NAME
            if path.is_file():
                yield str(path)
    yield NAME
    found = ctypes.util.find_library("sparccl")
    if found is not None:
        yield found


def _open():
    chosen = os.environ.get("SPARCCL_LIBRARY")
    tried = []
    for name in [chosen] if chosen else _candidates():
        try:
            return name, ctypes.CDLL(name)
        except OSError as error:
            tried.append(f"{name} ({error})")
    raise ImportError(
        f"{NAME}: expected it where SPARCCL_LIBRARY says, in the prefix that this package is "
        f"installed in, or where the dynamic linker looks; found none. Tried: {'; '.join(tried)}"
    )


def _require_version(name, library):
    try:
        version = ctypes.c_int()
        library.sparcclGetVersion(ctypes.byref(version))
        library.sparcclCommInitTransport, library.sparcclTensorGetStats
    except AttributeError as error:
        raise ImportError(f"{name}: expected libsparccl {MAJOR}.{MINOR}, found {error}") from None
    major, minor, patch = version.value // 10000, version.value // 100 % 100, version.value % 100
    if (major, minor) != (MAJOR, MINOR):
        raise ImportError(
            f"{name}: expected libsparccl {MAJOR}.{MINOR}, found {major}.{minor}.{patch}"
        )


@functools.lru_cache(maxsize=None)
def library():
    """libsparccl, opened once. Raises ImportError that says where it was looked for."""
    name, opened = _open()
    _require_version(name, opened)
    handle, text, pointer = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p
    handles = ctypes.POINTER(ctypes.c_void_p)
    configs = ctypes.POINTER(Config)
    signatures = {
        "sparcclCommInitTransport": [handles, ctypes.POINTER(Transport), configs],
        "sparcclCommAbort": [handle],
        "sparcclCommDestroy": [handle],
        "sparcclTensorCreate": [handle, text, ctypes.c_size_t, ctypes.c_int, configs, handles],
        "sparcclTensorAllReduce":
            [handle, pointer, pointer, ctypes.c_int, ctypes.c_double, pointer],
        "sparcclTensorSetDensity": [handle, ctypes.c_double],
        "sparcclTensorSetMu": [handle, ctypes.c_double],
        "sparcclTensorSetPath": [handle, ctypes.c_int],
        "sparcclTensorGetPath": [
            handle, ctypes.POINTER(ctypes.c_int), ctypes.c_char_p, ctypes.c_size_t,
        ],
        "sparcclTensorGetStats": [handle, ctypes.POINTER(Stats)],
        "sparcclTensorSave": [handle, text],
        "sparcclTensorLoad": [handle, text],
        "sparcclTensorDestroy": [handle],
    }  # fmt: skip
    for function, arguments in signatures.items():
        getattr(opened, function).argtypes = arguments
        getattr(opened, function).restype = ctypes.c_int
    opened.sparcclGetLastError.argtypes = [handle]
    opened.sparcclGetLastError.restype = text
    return opened
