"""Command lines of MPICH's hydra, a rank in each host; its launcher reaches them through pipes."""

import os
import shutil

from topology import DEVICE, host

LAUNCHERS = ("mpiexec.mpich", "mpiexec.hydra")

# Without these UCX finds that all ranks are on one machine, and uses shared memory.
OVER_TCP = {"UCX_TLS": "tcp,self", "UCX_NET_DEVICES": DEVICE}


def launcher():
    for name in LAUNCHERS:
        if shutil.which(name):
            return name
    raise SystemExit(f"no {' or '.join(LAUNCHERS)} here: install MPICH (script/bootstrap does)")


def command(hosts, program, mpiexec="mpiexec.mpich"):
    """program: words. The same program in every host."""
    words = [mpiexec]
    for i in range(hosts):
        if i > 0:
            words.append(":")
        words += ["-n", "1"]
        for name, value in OVER_TCP.items():
            words += ["-env", name, value]
        words += ["ip", "netns", "exec", host(i), *program]
    return words


def environment():
    return os.environ | {"OMP_NUM_THREADS": "1"}
