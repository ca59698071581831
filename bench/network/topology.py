"""Hosts on one machine: network namespaces, one veth each to a bridge, tc on both ends of each."""

import contextlib
import fcntl
import json
import os
import pathlib
import shutil
import signal
import subprocess

PREFIX = "spcl-"  # of every namespace that is made here, and that is removed here
SWITCH = PREFIX + "switch"
DEVICE = "v0"  # in each host
LOCK = "/run/lock/sparccl-network.lock"

# tbf lets so much through at once, and what passes at once is not shaped: messages of a sparse step are
# short. So it is what the link carries in BURST_SECONDS (with less, timers that are late cost some of the
# rate), at most a whole segment of TCP offload and a half, at least one of 8 KiB and a half.
MOST_BURST_BYTES = 96 * 1024
LEAST_BURST_BYTES = 12 * 1024
BURST_SECONDS = 2e-3


def burst_bytes(rate_bits):
    return int(min(MOST_BURST_BYTES, max(LEAST_BURST_BYTES, rate_bits / 8 * BURST_SECONDS)))


def segment_bytes(rate_bits):
    """Of TCP offload: what tbf takes as it is. One that it had to cut would be lost in netem's count of them
    (Linux before 6.12.6, CVE-2024-56770)."""
    return burst_bytes(rate_bits) * 2 // 3


class Busy(Exception):
    """Another run has the hosts."""


def run(*words, check=True):
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if check and done.returncode != 0:
        raise RuntimeError(f"{' '.join(words)}: {done.stderr.strip() or done.returncode}")
    return done.stdout


def host(index):
    return f"{PREFIX}h{index}"


def address(index):
    return f"10.77.0.{index + 1}"


def shaping(rate_bits, delay_us):
    """tc's words for a qdisc that does both: delay, and behind it the rate."""
    tbf = ["tbf", "rate", f"{int(rate_bits)}bit", "burst", str(burst_bytes(rate_bits)), "latency", "100ms"]
    if delay_us == 0:
        return [["root", *tbf]]
    netem = ["root", "handle", "1:", "netem", "delay", f"{delay_us}us", "limit", "100000"]
    return [netem, ["parent", "1:1", "handle", "2:", *tbf]]


def remove_leftovers():
    """Of a run that was killed; devices go with their namespaces."""
    for line in run("ip", "netns", "list", check=False).splitlines():
        name = line.split()[0] if line.split() else ""
        if name.startswith(PREFIX):
            for pid in run("ip", "netns", "pids", name, check=False).split():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(pid), signal.SIGKILL)  # ranks would compute and wait for ever
            run("ip", "netns", "del", name, check=False)
    for scratch in pathlib.Path("/tmp").glob(f"{PREFIX}[0-9]*"):  # named by the process whose it was
        if not pathlib.Path("/proc", scratch.name.removeprefix(PREFIX)).exists():
            shutil.rmtree(scratch, ignore_errors=True)


class Network:
    """Context manager. One at a time on a machine."""

    def __init__(self, hosts):
        self.hosts = hosts
        self._lock = None

    def __enter__(self):
        self._lock = open(LOCK, "w", encoding="ascii")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self._lock.close()
            raise Busy("another run of this benchmark has its hosts up: wait for it") from error
        try:
            remove_leftovers()
            self._build()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, *_):
        self._end()

    def _end(self):
        remove_leftovers()
        self._lock.close()

    def _build(self):
        run("ip", "netns", "add", SWITCH)
        run("ip", "-n", SWITCH, "link", "add", "br0", "type", "bridge", "mcast_snooping", "0")
        run("ip", "-n", SWITCH, "link", "set", "br0", "up")
        for i in range(self.hosts):
            run("ip", "netns", "add", host(i))
            run("ip", "link", "add", DEVICE, "netns", host(i), "type", "veth",
                "peer", "name", f"p{i}", "netns", SWITCH)  # fmt: skip
            run("ip", "-n", host(i), "addr", "add", address(i) + "/24", "dev", DEVICE)
            run("ip", "-n", host(i), "link", "set", "lo", "up")
            run("ip", "-n", host(i), "link", "set", DEVICE, "up")
            run("ip", "-n", SWITCH, "link", "set", f"p{i}", "master", "br0")
            run("ip", "-n", SWITCH, "link", "set", f"p{i}", "up")

    def shape(self, rate_bits, delay_us):
        for i in range(self.hosts):
            for namespace, device in ((host(i), DEVICE), (SWITCH, f"p{i}")):
                run("tc", "-n", namespace, "qdisc", "del", "dev", device, "root", check=False)
                run("ip", "-n", namespace, "link", "set", "dev", device,
                    "gso_max_size", str(segment_bytes(rate_bits)))  # fmt: skip
                for words in shaping(rate_bits, delay_us):
                    run("tc", "-n", namespace, "qdisc", "add", "dev", device, *words)

    def sent_bytes(self):
        """By each host, since it was made."""
        sent = []
        for i in range(self.hosts):
            told = json.loads(run("ip", "-n", host(i), "-s", "-j", "link", "show", DEVICE))
            sent.append(told[0]["stats64"]["tx"]["bytes"])
        return sent
