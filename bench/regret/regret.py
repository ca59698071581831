#!/usr/bin/env python3
"""How much slower than dense the path is that sparccl chooses, over a grid of sizes, densities and ranks.

Regret is the time of a call over that of the library's dense allreduce in the same run, less 1: the median
over several runs of sparccl_perf, each of which measures costs, chooses and times blocks of both in turn.
Negative is faster. A second figure holds it against MPI_Allreduce.

A cell names the path that was taken. Where the runs took several, its figures are still medians of all of them, and it
names the one taken most often with its share of the runs: "dense 3/5" is dense in three of five, another in two. "paths"
of the JSON has the counts, "run_paths" and "regrets_percent" those of each run.

Interrupted (Ctrl-C, SIGTERM, its terminal closed) or stopped by a run that fails, it prints what was measured before;
other cells read "not measured".

usage: bench/regret/regret.py            n = 1e3 to 1e8, density 0.01 % to 50 %, P = 2, 4, 8, MPI and threads
       bench/regret/regret.py --quick    a few minutes' part of it
Exit status: 0; 1 where the worst regret is above --limit, nothing could be measured, or a run failed; 2 for bad input;
130 after Ctrl-C, 143 after SIGTERM, 129 after SIGHUP.
"""
import argparse
import json
import os
import pathlib
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from files import why_not_written, write_whole  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[2]
GRID = {"ranks": [2, 4, 8], "counts": [10**3, 10**4, 10**5, 10**6, 10**7, 10**8],
        "densities": [0.0001, 0.001, 0.01, 0.1, 0.5]}
QUICK = {"ranks": [2, 4], "counts": [10**3, 10**5, 10**6], "densities": [0.0001, 0.01, 0.5]}
ENDED_BY = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)  # the last where its terminal is closed
ENDING = 10  # seconds that mpirun has to end its ranks
PATHS = ["auto", "dense", "allgather", "split", "hierarchical"]
TO_DENSE, TO_MPI = "regret_percent", "regret_to_mpi_percent"
# Open MPI, before and from version 5, wants to be told of root and of more ranks than cores.
ENVIRONMENT = {**os.environ, "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
               "OMPI_MCA_rmaps_base_oversubscribe": "1",
               "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe",
               "OMPI_MCA_hwloc_base_binding_policy": "none", "PRTE_MCA_hwloc_default_binding_policy": "none"}


class Failed(Exception):
    """sparccl_perf ended in a way that is nobody's intention."""


class Interrupted(BaseException):
    def __init__(self, number):
        super().__init__(number)
        self.number = number


class Refused(Exception):
    """sparccl_perf says that it cannot be done here, such as for want of memory."""


def numbers(kind):
    return lambda text: [kind(word) for word in text.split(",")]


def whole(least):
    def parsed(text):
        try:
            value = float(text)
            if value >= least and value == int(value):
                return int(value)
        except (ValueError, OverflowError):
            pass
        raise argparse.ArgumentTypeError(f"expected whole numbers of at least {least}, found '{text}'")
    return parsed


def share(text):
    try:
        value = float(text)
    except ValueError:
        value = 0
    if not 0 < value <= 1:
        raise argparse.ArgumentTypeError(f"expected shares above 0 and up to 1 (0.1 % is 0.001), found '{text}'")
    return value


def listed(values):
    return ",".join(f"{value:g}" for value in values)


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", default=ROOT / "build/host/bench/perf/sparccl_perf", metavar="FILE",
                        help="sparccl_perf (default: build/host/bench/perf/sparccl_perf)")
    parser.add_argument("--mpirun", default="mpirun",
                        help="of the MPI that the program was built with (default: %(default)s)")
    parser.add_argument("--transports", type=numbers(str), default=["mpi", "local"], metavar="LIST",
                        help="mpi, local or both (default: mpi,local)")
    parser.add_argument("--ranks", type=numbers(whole(2)), metavar="LIST",
                        help=f"2 or more (default: {listed(GRID['ranks'])})")
    parser.add_argument("--counts", type=numbers(whole(1)), metavar="LIST",
                        help=f"entries of the tensor, float (default: {listed(GRID['counts'])})")
    parser.add_argument("--densities", type=numbers(share), metavar="LIST",
                        help=f"shares that are sent: 0.001 is 0.1 %% (default: {listed(GRID['densities'])})")
    parser.add_argument("--path", choices=PATHS, default="auto", help="of every call (default: %(default)s)")
    parser.add_argument("--runs", type=int, default=5,
                        help="of sparccl_perf; an odd number of at least 5 (default: %(default)s)")
    parser.add_argument("--calls", type=whole(1), default=2000, help="in a block, at most (default: %(default)s)")
    parser.add_argument("--limit", type=float, default=5.0,
                        help="highest regret that is fine, in percent (default: %(default)s)")
    parser.add_argument("--quick", action="store_true",
                        help="a part of the grid: " + ", ".join(f"{name} {listed(values)}"
                                                                for name, values in QUICK.items()))
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE",
                        help="write the grid to this file as well (default: none)")
    options = parser.parse_args()
    for name, values in (QUICK if options.quick else GRID).items():
        if getattr(options, name) is None:
            setattr(options, name, values)
    if options.runs < 5 or options.runs % 2 == 0:
        parser.error(f"--runs: expected an odd number of at least 5, found {options.runs}")
    if not set(options.transports) <= {"mpi", "local"}:
        parser.error(f"--transports: expected mpi, local or both, found {','.join(options.transports)}")
    if not os.access(options.program, os.X_OK) or not pathlib.Path(options.program).is_file():
        parser.error(f"there is no program {options.program}: cmake --preset host && cmake --build --preset host "
                     "--target sparccl_perf; or name it by --program")
    if "mpi" in options.transports and shutil.which(options.mpirun) is None:
        parser.error(f"there is no {options.mpirun}: name one by --mpirun, or use --transports local")
    why = options.json and why_not_written(options.json)
    if why:
        parser.error(f"--json: cannot write {options.json}: {why}")
    return options


def calls(entries, most):
    """In a block: enough for ten milliseconds, where calls are short."""
    return max(1, min(most, 2 * 10**7 // entries))


def blocks(entries):
    """Of calls of each kind in a run, in turn with the others': more where a block is a call or two, of which one
    may be a third longer than the next where ranks share cores."""
    return 5 if entries >= 10**7 else 3


def carry_out(command):
    """Exit status and what it said on stderr. Where this is interrupted, mpirun is asked to end its ranks."""
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT,
                          start_new_session=True) as program:
        try:
            errors = program.communicate()[1]
            return program.returncode, errors
        finally:
            if program.poll() is None:
                end(program)


def end(program):
    program.terminate()
    try:
        program.wait(timeout=ENDING)
    except subprocess.TimeoutExpired:
        os.killpg(program.pid, signal.SIGKILL)


def measure(options, transport, ranks, entries, densities):
    """sparccl_perf's figures."""
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder) / "figures.json"
        n = calls(entries, options.calls)
        command = [options.program, "--transport", transport, "-b", 4 * entries, "-n", n, "-w", max(3, n // 4),
                   "-c", 0, "--place", "out", "--repeats", blocks(entries), "--path", options.path,
                   "--density", ",".join(map(str, densities)), "--json", file]
        if transport == "mpi":
            command = [options.mpirun, "-n", ranks, *command, "--baseline", "mpi"]
        else:
            command += ["-t", ranks]
        status, errors = carry_out([str(word) for word in command])
        said = [line for line in errors.splitlines() if line.startswith("sparccl_perf: ")]
        if status == 2 and said:
            raise Refused(said[0].removeprefix("sparccl_perf: "))
        if status != 0:
            raise Failed(f"{' '.join(map(str, command))}\nended with {status}:\n{errors}")
        return json.loads(file.read_text())


def cells_of(figures):
    """Those of one run of sparccl_perf."""
    against_mpi = {row["density"]: 100 / row["sparse_speedup"] - 100
                   for row in figures["baselines"] if row["name"] == "mpi"}
    return [{"transport": figures["transport"], "ranks": figures["ranks"], "count": row["count"],
             "density": row["density"], "path": row["path"], "path_reason": row["path_reason"],
             "time_us": row["time_us"]["median"], "dense_time_us": row["dense_time_us"]["median"],
             TO_DENSE: 100 / row["speedup"] - 100, TO_MPI: against_mpi.get(row["density"])}
            for row in figures["rows"]]


def typical(runs):
    """One cell out of those of several runs: the path is the one taken most often, all are counted."""
    paths = [cell["path"] for cell in runs]
    most = max(sorted(set(paths)), key=paths.count)
    cell = next(cell for cell in runs if cell["path"] == most) | {"paths": {p: paths.count(p) for p in set(paths)}}
    for figure in ("time_us", "dense_time_us", TO_DENSE, TO_MPI):
        each = [run[figure] for run in runs]
        cell[figure] = None if None in each else statistics.median(each)
    cell["regrets_percent"] = [run[TO_DENSE] for run in runs]
    cell["run_paths"] = paths
    return cell


def measure_row(options, transport, ranks, entries, progress):
    """Each density's cell, over all runs."""
    runs = []
    for i in range(options.runs):
        progress.at_run(i + 1, options.runs)
        runs.append(measure_run(options, transport, ranks, entries))
    return [cell_of(each) for each in zip(*runs)]


def cell_of(runs):
    """Where some could not be measured, such as for want of memory at that moment: of the others."""
    measured = [run for run in runs if "not_measured" not in run]
    return typical(measured) if measured else runs[0]


def measure_run(options, transport, ranks, entries):
    """All densities in one run, so that costs are probed once; one by one where that is too much."""
    try:
        return cells_of(measure(options, transport, ranks, entries, options.densities))
    except Refused:
        pass
    cells = []
    for density in options.densities:
        try:
            cells += cells_of(measure(options, transport, ranks, entries, [density]))
        except Refused as why:
            cells.append({"transport": transport, "ranks": ranks, "count": entries, "density": density,
                          "not_measured": str(why)})
    return cells


def path_of(cell):
    """With its share of the runs, where some took another: the figures are medians of all."""
    paths = cell.get("paths", {})
    return cell["path"] if len(paths) < 2 else f"{cell['path']} {paths[cell['path']]}/{sum(paths.values())}"


def text_of(cell, figure):
    return "not measured" if "not_measured" in cell else f"{cell[figure]:+.1f} {path_of(cell)}"


def print_grid(options, cells, figure, title):
    for transport in options.transports:
        for ranks in options.ranks:
            part = [c for c in cells if (c["transport"], c["ranks"]) == (transport, ranks)]
            if not any(c.get(figure) is not None for c in part):
                continue
            print(f"\n{ranks} ranks, {transport}: {title}, percent, and the path taken (3/5: in so many of the runs)")
            print(f"{'n':>10} " + "".join(f"{f'{100 * d:g} %':>24}" for d in options.densities))
            for entries in options.counts:
                row = [text_of(c, figure) for c in part if c["count"] == entries]
                print(f"{entries:>10} " + "".join(f"{text:>24}" for text in row))


def worst(cells, figure):
    measured = [cell for cell in cells if cell.get(figure) is not None]
    return max(measured, key=lambda cell: cell[figure]) if measured else None


def print_worst(cell, figure, title):
    if cell is not None:
        print(f"worst {title}: {cell[figure]:+.1f} % ({cell['transport']}, {cell['ranks']} ranks, "
              f"n = {cell['count']}, density {100 * cell['density']:g} %, path {path_of(cell)})")


def judge(cells, limit):
    """Prints what all came to. Whether no regret is above the limit."""
    worst_cell = worst(cells, TO_DENSE)
    print()
    print_worst(worst_cell, TO_DENSE, "regret to dense")
    print_worst(worst(cells, TO_MPI), TO_MPI, "regret to MPI_Allreduce")
    missing = [cell for cell in cells if "not_measured" in cell]
    for why in sorted({cell["not_measured"] for cell in missing}):
        print(f"not measured: {why}")
    if worst_cell is None:
        return False
    fine = worst_cell[TO_DENSE] <= limit
    above = sum(cell[TO_DENSE] > limit for cell in cells if TO_DENSE in cell)
    print(f"{above} of {len(cells) - len(missing)} cells are above {limit:g} %: {'fine' if fine else 'too slow'}")
    return fine


class Progress:
    """One line, over and over, on a terminal; elsewhere, such as in a log, one for each row and each few seconds."""

    EVERY = 10  # seconds

    def __init__(self, total):
        self.total, self.done, self.began = total, 0, time.monotonic()
        self.terminal = sys.stderr.isatty()

    def at_row(self, what):
        self.done += 1
        self.what = what
        self.tell("")

    def at_run(self, number, of):
        if time.monotonic() - self.told >= self.EVERY:
            self.tell(f", run {number} of {of}")

    def tell(self, part):
        self.told = time.monotonic()
        line = f"{self.done}/{self.total}: {self.what}{part}, {self.told - self.began:.0f} s so far"
        print(f"\r\033[K{line}" if self.terminal else line, end="" if self.terminal else "\n", file=sys.stderr,
              flush=True)

    def end(self):
        if self.terminal:
            print("\r\033[K", end="", file=sys.stderr)


def save(options, cells):
    """Before the first row and after each: a grid takes long, what was measured is kept when it is interrupted, and
    nothing of an earlier run is."""
    if not options.json:
        return
    of = len(rows_of(options)) * len(options.densities)
    write_whole(options.json, json.dumps({
        "command": " ".join(sys.argv), "path": options.path, "runs": options.runs, "complete": len(cells) == of,
        "limit_percent": options.limit, "worst": worst(cells, TO_DENSE), "worst_to_mpi": worst(cells, TO_MPI),
        "cells": cells}, indent=1) + "\n")


def rows_of(options):
    return [(transport, ranks, entries) for transport in options.transports for ranks in options.ranks
            for entries in options.counts]


def not_reached(options, rows, why):
    return [{"transport": transport, "ranks": ranks, "count": entries, "density": density, "not_measured": why}
            for transport, ranks, entries in rows for density in options.densities]


def interrupted(number, _):
    """Once: timeout(1) and terminals may send a signal twice, the second in the midst of cleaning up."""
    for each in ENDED_BY:
        signal.signal(each, signal.SIG_IGN)
    raise Interrupted(number)


def listen():
    for number in ENDED_BY:
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:  # nohup's wish is kept
            signal.signal(number, interrupted)


def main():
    options = parse()
    listen()
    cells, rows, status = [], rows_of(options), None
    progress = Progress(len(rows))
    try:
        save(options, cells)
        for transport, ranks, entries in rows:
            progress.at_row(f"{transport}, {ranks} ranks, n = {entries}")
            cells += measure_row(options, transport, ranks, entries, progress)
            save(options, cells)
    except Interrupted as signalled:
        status, why = 128 + signalled.number, "interrupted"
    except Failed as failure:
        print(f"regret: {failure}", file=sys.stderr)
        status, why = 1, "a run failed"
    progress.end()
    if status is not None:
        done = len(cells) // len(options.densities)
        cells += not_reached(options, rows[done:], f"{why} after {done} of {len(rows)} rows")
    print_grid(options, cells, TO_DENSE, f"regret of --path {options.path} to the library's dense path")
    print_grid(options, cells, TO_MPI, f"regret of --path {options.path} to MPI_Allreduce")
    fine = judge(cells, options.limit)
    return status or (0 if fine else 1)


if __name__ == "__main__":
    sys.exit(main())
