#!/usr/bin/env python3
"""The shim before the real NCCL, as far as that goes without a GPU: calls that fail for reasons of NCCL's.

usage: shim_real_nccl.py SHIM NCCL
"""

import ctypes
import os
import subprocess
import sys

INVALID_ARGUMENT, INVALID_USAGE, SYSTEM_ERROR = 4, 5, 2


def calls(nccl):
    """As a library that Python loads: NCCL is nobody else's, and its functions are looked up globally."""
    seen = ctypes.CDLL(None)
    number = ctypes.c_int()
    before = seen.ncclGroupStart()
    assert before == SYSTEM_ERROR, before
    assert ctypes.CDLL(nccl, mode=os.RTLD_LOCAL).ncclGetVersion(ctypes.byref(number)) == 0
    assert seen.ncclGroupStart() == 0
    assert seen.ncclGroupEnd() == 0
    assert seen.ncclGroupEnd() == INVALID_USAGE
    assert seen.ncclCommGetAsyncError(None, ctypes.byref(number)) == INVALID_ARGUMENT
    assert seen.ncclAllReduce(None, None, ctypes.c_size_t(5), 7, 0, None, None) == INVALID_ARGUMENT
    assert seen.ncclCommInitAll(None, 1, None) != 0


def main():
    shim, nccl = sys.argv[1:3]
    run = subprocess.run([sys.executable, __file__, "calls", nccl], text=True, capture_output=True,
                         env={**os.environ, "LD_PRELOAD": shim})
    print(run.stdout + run.stderr)
    # One line for the call before NCCL was there, one for a program that sparsified nothing.
    lines = [line for line in run.stderr.splitlines() if "SPARCCL WARN" in line]
    found = len(lines) == 2 and "ncclGroupStart: expected the program to have loaded" in lines[0] and (
        "ncclAllReduce was never called" in lines[1])
    return 0 if run.returncode == 0 and found else 1


if __name__ == "__main__":
    if sys.argv[1] == "calls":
        calls(sys.argv[2])
    else:
        sys.exit(main())
