"""Times sparse and dense allreduces between hosts whose links have a given rate and delay.

The hosts are network namespaces of this machine, so their ranks share its processors: what a fast link
could carry may be more than they can send. The rate that a link reached is measured and recorded.
"""

import argparse
import contextlib
import datetime
import json
import os
import pathlib
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import launch
import link
import results
import topology
from files import why_not_written, write_whole
from plotting import start_again_where_matplotlib_is

ROOT = pathlib.Path(__file__).resolve().parents[2]
ENDING = 15  # seconds
UNITS = {"mbit": 1e6, "gbit": 1e9}
ENDED_BY = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)  # the last where its terminal is closed

PATHS = ("auto", "dense", "allgather", "split", "all")  # as in sparccl_perf; there is one rank on each host
BASELINES = ("mpi", "naive", "gloo", "all")
GRID = {"hosts": [2, 4, 8], "rates": [1e8, 1e9, 1e10, 2.5e10], "count": 25_000_000}
QUICK = {"hosts": [2], "rates": [1e9, 1e10], "count": 1_000_000}
BASE_SECONDS = 10  # of a case besides its bytes: hosts, starts, a look at the link, costs


def rate(text):
    for unit, bits in UNITS.items():
        if text.lower().endswith(unit):
            try:
                value = float(text[: -len(unit)]) * bits
            except ValueError:
                break
            if 1e6 <= value <= 1e12:
                return value
    raise argparse.ArgumentTypeError(
        f"expected a rate from 1mbit to 1000gbit, such as 100mbit or 10gbit, found '{text}'"
    )


def whole(least, most):
    def parsed(text):
        try:
            value = float(text)
            if least <= value <= most and value == int(value):
                return int(value)
        except ValueError:
            pass
        raise argparse.ArgumentTypeError(
            f"expected a whole number from {least:,} to {most:,}, found '{text}'"
        )

    return parsed


def share(text):
    try:
        value = float(text)
    except ValueError:
        value = 0
    if not 0 < value <= 1:
        raise argparse.ArgumentTypeError(
            f"expected a share above 0 and up to 1 (0.1 % is 0.001), found '{text}'"
        )
    return value


def words_of(allowed):
    """A list with commas, as sparccl_perf takes it."""

    def parsed(text):
        for word in text.split(","):
            if word not in allowed:
                raise argparse.ArgumentTypeError(f"expected some of {', '.join(allowed)}, found '{word}'")
        return text

    return parsed


def arguments(words):
    parser = argparse.ArgumentParser(prog="bench/network/run", description=__doc__)
    parser.add_argument("--hosts", type=whole(2, 64), nargs="+", metavar="P",
                        help="2 to 64 (default: 2 4 8)")  # fmt: skip
    parser.add_argument("--rates", type=rate, nargs="+", metavar="RATE",
                        help="of each host's link, both ways (default: 100mbit 1gbit 10gbit 25gbit)")  # fmt: skip
    parser.add_argument("--delay-us", type=whole(0, 1_000_000), default=0, metavar="US",
                        help="added to each way of each link (default: %(default)s)")  # fmt: skip
    parser.add_argument("-n", "--count", type=whole(1, 10**12), metavar="N",
                        help="entries, float32 (default: 25000000)")  # fmt: skip
    parser.add_argument("--density", type=share, default=0.001, metavar="SHARE",
                        help="of the entries that is sent: 0.001 is 0.1 %% (default: %(default)s)")  # fmt: skip
    parser.add_argument("--paths", type=words_of(PATHS), default="allgather,split,auto",
                        help=f"some of {', '.join(PATHS)} (default: %(default)s)")  # fmt: skip
    parser.add_argument("--baseline", type=words_of(BASELINES),
                        help=f"some of {', '.join(BASELINES)}: see sparccl_perf (default: none)")  # fmt: skip
    parser.add_argument("--repeats", type=whole(1, 10_000), default=5, metavar="R",
                        help="paired blocks of calls (default: %(default)s)")  # fmt: skip
    parser.add_argument("--train", action="store_true",
                        help="also the MNIST job of script/demo, at each rate")  # fmt: skip
    parser.add_argument("--quick", action="store_true", help="2 hosts, 2 rates, 1,000,000 entries")
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build" / "mpich",
                        help="where sparccl_perf was built with MPICH (default: build/mpich)")  # fmt: skip
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE",
                        help="write everything to this file (default: none)")  # fmt: skip
    parser.add_argument("--plot", type=pathlib.Path, metavar="FILE",
                        help="and a picture to this one, by matplotlib (default: none)")  # fmt: skip
    parser.add_argument("--limit", type=whole(1, 10**6), default=600, metavar="SECONDS",
                        help="that one program may take (default: %(default)s)")  # fmt: skip
    found = parser.parse_args(words)
    if found.quick:
        own = [flag for flag in GRID if getattr(found, flag) is not None]
        if own:
            parser.error(f"--quick brings its own --hosts, --rates and --count: leave it or --{own[0]} out")
    for flag, value in (QUICK if found.quick else GRID).items():
        if getattr(found, flag) is None:
            setattr(found, flag, value)
    for flag, path in (("--json", found.json), ("--plot", found.plot)):
        why = path and why_not_written(path)
        if why:
            parser.error(f"{flag}: cannot write {path}: {why}")
    why = found.plot and why_not_drawn(found.plot)
    if why:
        parser.error(f"--plot: {why}")
    return found


def why_not_drawn(path):
    start_again_where_matplotlib_is()
    try:
        import plot  # pylint: disable=import-outside-toplevel
    except ImportError:
        return f"{sys.executable} has no matplotlib: install python3-matplotlib, or leave out --plot"
    if path.suffix[1:].lower() not in plot.formats():
        return f"expected a name that ends with one of {', '.join(plot.formats())}, found {path}"
    return None


def is_complete(written):
    try:
        json.loads(written.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return True


def carry_out(words, limit, written):
    """Runs it until it ends and has written that file (JSON); what it leaves when it is interrupted or
    too slow is killed with it. MPICH 4.0 over UCX hangs in MPI_Finalize now and then: a program that
    has written its results has ENDING seconds to end.
    """
    written.unlink(missing_ok=True)
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as said:
        program = subprocess.Popen(words, stdout=said, stderr=subprocess.STDOUT, start_new_session=True,
                                   env=launch.environment())  # fmt: skip
        began, complete = time.monotonic(), None
        try:
            while program.poll() is None:
                now = time.monotonic()
                if complete is None and is_complete(written):
                    complete = now
                if complete is not None and now - complete > ENDING:
                    print("a program did not end after its results were there: killed", file=sys.stderr)
                    return json.loads(written.read_text(encoding="utf-8"))
                if complete is None and now - began > limit:
                    raise RuntimeError(f"{' '.join(words[-12:])}: took longer than {limit} s")
                time.sleep(0.2)
        finally:
            if program.poll() is None:
                os.killpg(program.pid, signal.SIGKILL)
                program.wait()
        said.seek(0)
        if program.returncode != 0 or not is_complete(written):
            raise RuntimeError(f"{' '.join(words)}\nended with {program.returncode}:\n{said.read()[-2000:]}")
        return json.loads(written.read_text(encoding="utf-8"))


def perf(options, hosts, path):
    size = str(4 * options.count)
    words = [str(options.build / "bench" / "perf" / "sparccl_perf"), "--transport", "mpi",
             "-b", size, "-e", size, "-n", "1", "-w", "1", "-c", "1", "--place", "out",
             "--repeats", str(options.repeats), "--density", str(options.density),
             "--path", options.paths, "--ranks-per-node", "1", "--json", str(path)]  # fmt: skip
    if options.baseline:
        words += ["--baseline", options.baseline]
    found = carry_out(launch.command(hosts, words, launch.launcher()), options.limit, path)
    return found, [word.replace(f"{ROOT}/", "") for word in words]


def probe(options, hosts, gbps, path):
    """What sparccl_plan measures there: the model's predictions start from it (bench/model/compare.py)."""
    words = [str(options.build / "bench" / "plan" / "sparccl_plan"), "--probe", "--transport", "mpi",
             "--bandwidth", f"{gbps:.4g}gbit", "--ranks-per-node", "1", "-n", str(options.count),
             "-d", str(options.density), "--save", str(path)]  # fmt: skip
    return carry_out(launch.command(hosts, words, launch.launcher()), options.limit, path)


def train(options, hosts, path):
    program = options.build / "examples" / "train_mnist" / "train_mnist"
    words = [str(program), "--data", str(ROOT / "examples" / "data" / "mnist"), "--epochs", "1",
             "--progress", "lines", "--json", str(path)]  # fmt: skip
    found = carry_out(launch.command(hosts, words, launch.launcher()), options.limit, path)
    for method in found["methods"]:
        del method["curve"]  # of the loss: the same at every rate
    return found


def measure(options, network, bits, scratch):
    network.shape(bits, options.delay_us)
    before_runs = link.measure()
    run = {"hosts": network.hosts, "rate_gbps": bits / 1e9, "rtt_us": before_runs["rtt_us"],
           "burst_bytes": topology.burst_bytes(bits)}  # fmt: skip
    (all_before, stolen_before), before = processors_time(), network.sent_bytes()
    run["perf"], run["command"] = perf(options, network.hosts, scratch / "perf.json")
    run["sent_bytes"] = [b - a for a, b in zip(before, network.sent_bytes())]
    all_after, stolen_after = processors_time()
    run["stolen_share"] = (stolen_after - stolen_before) / max(1, all_after - all_before)
    why = results.why_not(run, run["sent_bytes"])
    if why is not None:
        raise RuntimeError(why)
    if options.train:
        run["train"] = train(options, network.hosts, scratch / "train.json")
    run["link_gbps"] = [before_runs["gbps"], link.measure()["gbps"]]
    run["achieved_gbps"] = max(run["link_gbps"])
    run["rate_doubts"] = results.rate_doubts(run)
    for doubt in run["rate_doubts"]:
        print(f"the rate is in doubt: {doubt}", file=sys.stderr)
    if bits == max(options.rates):
        try:
            run["calibration"] = probe(options, network.hosts, run["achieved_gbps"], scratch / "costs.json")
        except RuntimeError as error:  # the times stand without it
            print(f"costs were not measured: {error}", file=sys.stderr)
    return run


def processors_time():
    """(all of it, what the host of a virtual machine gave to others), in units of /proc/stat."""
    with open("/proc/stat", encoding="ascii") as file:
        ticks = [int(word) for word in file.readline().split()[1:9]]
    return sum(ticks), ticks[7]


def about_here(options):
    commit = subprocess.run(["git", "-C", str(ROOT), "describe", "--always", "--abbrev=40", "--dirty=+", "--exclude=*"], capture_output=True,
                            text=True, check=False).stdout.strip()  # fmt: skip
    return {
        "date": datetime.date.today().isoformat(),
        "commit": commit or None,
        "kernel": platform.release(),
        "cores": os.cpu_count(),
        "delay_us": options.delay_us,
        "count": options.count,
        "density": options.density,
        "command": " ".join(["bench/network/run", *sys.argv[1:]]),
        "ratio": results.RATIO,
    }


def write(options, runs, failures):
    """Before the first case and after each: who interrupts this keeps what is there, and nothing of an
    earlier run stays even where nothing was measured."""
    found = about_here(options) | {"runs": runs, "not_measured": failures}
    if options.json:
        write_whole(options.json, json.dumps(found, indent=1) + "\n")
    if runs and options.plot:
        import plot  # pylint: disable=import-outside-toplevel

        plot.draw(found, options.plot)
    elif options.plot and options.plot.is_file():
        options.plot.resolve().unlink()


def not_reached(cases):
    return [f"{hosts} hosts at {bits / 1e9:g} Gbit/s: not reached" for hosts, bits in cases]


def require(options):
    if os.geteuid() != 0:
        raise SystemExit(2, "expected to be root, for network namespaces and tc are its: use sudo")
    programs = ["bench/perf/sparccl_perf", "bench/plan/sparccl_plan"]
    if options.train:
        programs.append("examples/train_mnist/train_mnist")
    for name in programs:
        if not (options.build / name).exists():
            raise SystemExit(2, f"no {options.build / name}: cmake --preset mpich && cmake --build "
                                "--preset mpich --target sparccl_perf sparccl_plan train_mnist")  # fmt: skip
    for name in ("ip", "tc"):
        if not shutil.which(name):
            raise SystemExit(2, f"no {name} here: install iproute2")
    launch.launcher()
    if options.baseline and {"gloo", "all"} & set(options.baseline.split(",")):
        require_gloo(options.build)


def require_gloo(build):
    """Whether it was built with it, only the program knows: asked on one rank and one entry."""
    words = [str(build / "bench" / "perf" / "sparccl_perf"), "--transport", "local", "-t", "1",
             "-b", "4", "-e", "4", "-n", "1", "-w", "0", "-c", "0", "--repeats", "1",
             "--path", "dense", "--baseline", "gloo"]  # fmt: skip
    tried = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
    if tried.returncode != 0:
        raise SystemExit(2, tried.stderr.strip())


def expected_seconds(options, hosts, bits):
    """Of a case, from the bytes of its dense calls: only to tell how much longer it takes."""
    baselines = options.baseline.split(",") if options.baseline else []
    rows = len(options.paths.split(",")) * (1 + len(baselines))
    carried = 32 * options.count * 2 * (hosts - 1) / hosts
    return BASE_SECONDS + rows * (options.repeats + 2) * carried / bits


def remaining(expected, done, elapsed):
    """Seconds; expected: of every case. As much slower as the cases before were than expected."""
    slower = elapsed / sum(expected[:done]) if done else 1
    return slower * sum(expected[done:])


def interrupted(*_):
    """Once: timeout(1) and terminals may send a signal twice, the second in the midst of cleaning up."""
    for number in ENDED_BY:
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def listen():
    """To all that may end a run, so that nothing of it stays behind; nohup's wish is kept."""
    for number in ENDED_BY:
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, interrupted)


def main(words):
    options = arguments(words)
    require(options)
    listen()
    scratch = pathlib.Path("/tmp") / f"{topology.PREFIX}{os.getpid()}"
    scratch.mkdir()
    runs, failures, status = [], [], 0
    cases = [(hosts, bits) for hosts in options.hosts for bits in options.rates]
    expected = [expected_seconds(options, *case) for case in cases]
    began = time.monotonic()
    try:
        for i, (hosts, bits) in enumerate(cases):
            elapsed = time.monotonic() - began
            print(f"case {i + 1} of {len(cases)}: {hosts} hosts at {bits / 1e9:g} Gbit/s; {elapsed:.0f} s "
                  f"so far, about {remaining(expected, i, elapsed):.0f} s to go",
                  file=sys.stderr, flush=True)  # fmt: skip
            try:
                with topology.Network(hosts) as network:
                    if i == 0:
                        write(options, [], not_reached(cases))
                    runs.append(measure(options, network, bits, scratch))
            except RuntimeError as error:  # no figure of that one, but of the others
                failures.append(f"{hosts} hosts at {bits / 1e9:g} Gbit/s: {error}")
                print(f"not measured: {failures[-1]}", file=sys.stderr)
            write(options, runs, failures + not_reached(cases[i + 1 :]))
    except KeyboardInterrupt:
        status = 130
        with contextlib.suppress(OSError):  # its terminal may be gone
            print("interrupted: what was measured before is kept", file=sys.stderr, flush=True)
    finally:
        for left in scratch.iterdir():
            left.unlink()
        scratch.rmdir()
    if runs:
        print(results.table(runs))
    return status or (1 if failures else 0)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except SystemExit as end:
        if len(end.args) == 2:
            print(f"bench/network/run: {end.args[1]}", file=sys.stderr)
            sys.exit(end.args[0])
        raise
    except topology.Busy as busy:
        print(f"bench/network/run: {busy}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
