#!/usr/bin/env python3
"""Holds the cost model's predictions against what bench/network measured.

usage: compare.py RESULT.json [--calibration P=FILE ...] [--plan sparccl_plan]

RESULT.json brings the costs of its P hosts, which sparccl_plan --probe measured at the highest of the
rates (there the processors' part of a byte is known as well); a FILE of other costs takes their place.
Predictions for the other rates change the bandwidth and nothing else. A line for each case (of times, the
shortest and the longest call beside the median) and break-even, and at the end the worst of each number of
hosts. Exit code 1 where a prediction is off by more than
--within, 2 for bad input.
"""
import argparse
import json
import math
import os
import statistics
import sys
import tempfile

from predictions import Plan, reading, refuse, show_seconds


def by_ranks(texts):
    files = {}
    for text in texts:
        ranks, _, path = text.partition("=")
        if not ranks.isdigit() or not path:
            refuse(f"--calibration: expected P=FILE, found {text}")
        if not os.path.isfile(path):
            refuse(f"--calibration: there is no file {path}")
        files[int(ranks)] = path
    return files


def rows_of(run):
    """(entries, density, path, seconds, seconds of the shortest and the longest call, times faster than
    dense): of the paths that were asked for by name, and of dense."""
    dense = {}
    for row in run["perf"]["rows"]:
        if row["in_place"]:
            continue
        dense.setdefault((row["count"], row["density"]), []).append(row["dense_time_us"])
        if row["path_asked"] not in ("auto", "dense"):
            times = row["time_us"]
            yield (row["count"], row["density"], row["path_asked"], 1e-6 * times["median"],
                   (1e-6 * times["min"], 1e-6 * times["max"]), row["speedup"])
    for (count, density), blocks in dense.items():
        yield (count, density, "dense", 1e-6 * statistics.median(times["median"] for times in blocks),
               (1e-6 * min(times["min"] for times in blocks), 1e-6 * max(times["max"] for times in blocks)), 1)


def runs_of(path):
    """Of bench/network, with all that is read of them later."""
    with reading(path, "what bench/network/run --json writes"), open(path) as file:
        runs = json.load(file)["runs"]
        for run in runs:
            rate_of(run) + run["hosts"]
            list(rows_of(run))
    return runs


def rate_of(run):
    return run.get("achieved_gbps") or run["rate_gbps"]


def measured_break_even(points):
    """Rate at which the fastest sparse path takes as long as dense, between the rates measured on
    either side, along lines in the logarithms, and these two. points: (rate, times that sparse is faster)."""
    points = sorted(points)
    for (low, above), (high, below) in zip(points, points[1:]):
        if above > 1 >= below:
            share = math.log(above) / (math.log(above) - math.log(below))
            return low * (high / low) ** share, (low, high)
    return None, ()


class Comparison:
    def __init__(self, plan, files, within):
        self.plan, self.files, self.within = plan, files, within
        self.errors = {}  # hosts -> shares that predictions are off by
        self.ratios = {}  # (hosts, count, density) -> [(rate, how many times faster the best sparse path is)]
        self.answers = {}
        self.doubtful = set()  # (case, rate) that bench/network is not sure of
        self.open_files = []

    def bring(self, run):
        """Costs that came with the results."""
        if "calibration" not in run or run["hosts"] in self.files:
            return
        file = tempfile.NamedTemporaryFile("w", suffix=".json")  # gone at the end
        json.dump(run["calibration"], file)
        file.flush()
        self.open_files.append(file)
        self.files[run["hosts"]] = file.name

    def calibration(self, run):
        if run["hosts"] in self.files:
            return self.files[run["hosts"]]
        refuse(f"expected costs of {run['hosts']} hosts, found none: --calibration {run['hosts']}=FILE")

    def add(self, run):
        calibration = self.calibration(run)
        rate = rate_of(run)
        best = {}
        for count, density, path, measured, calls, ratio in rows_of(run):
            answer = self.plan.at(calibration, count, density, run["hosts"], "--bandwidth",
                                  f"{rate:.9g}gbit")
            if path not in answer["paths"]:
                continue
            predicted = answer["paths"][path]["seconds"]
            self.tell(run["hosts"], f"{run['hosts']} hosts, {rate:.4g} Gbit/s, {count} entries, "
                      f"{100 * density:g} %, {path}", predicted, measured, show_seconds, calls)
            case = run["hosts"], count, density
            self.answers[case] = answer
            if path != "dense":
                best[case] = max(ratio, best.get(case, 0))
        for case, ratio in best.items():
            self.ratios.setdefault(case, []).append((rate, ratio))
            if run.get("rate_doubts"):
                self.doubtful.add((case, rate))

    def break_evens(self):
        for case, points in sorted(self.ratios.items()):
            measured, rests_on = measured_break_even(points)
            predicted = self.answers[case]["break_even_bandwidth"]
            name = f"break-even of {case[0]} hosts, {case[1]} entries, {100 * case[2]:g} %"
            if measured is None or predicted["kind"] != "at":
                side = "; ".join(f"{rate:.4g} Gbit/s: {ratio:.3g} x" for rate, ratio in sorted(points))
                print(f"{name}: not inside the rates measured ({side}); predicted: {in_words(predicted)}")
                continue
            if any((case, rate) in self.doubtful for rate in rests_on):
                name += " (between rates of which one is in doubt)"
            self.tell(case[0], name, 8e-9 * predicted["bytes_per_second"], measured,
                      lambda gbps: f"{gbps:.4g} Gbit/s")

    def tell(self, hosts, name, predicted, measured, show, calls=None):
        """calls: the shortest and the longest behind `measured`."""
        error = predicted / measured - 1
        spread = f" ({show(calls[0])} to {show(calls[1])})" if calls else ""
        self.errors.setdefault(hosts, []).append(abs(error))
        mark = "" if abs(error) <= self.within else "   <-- off"
        print(f"{name}: predicted {show(predicted)}, measured {show(measured)}{spread}, {100 * error:+.1f} %{mark}")


def in_words(even):
    """What sparccl_plan says of a break-even bandwidth."""
    if even["kind"] in ("at", "above"):
        side = "below" if even["kind"] == "at" else "above"
        return f"sparse is faster {side} {8e-9 * even['bytes_per_second']:.4g} Gbit/s"
    return ("sparse" if even["kind"] == "sparse_wins" else "dense") + " is always faster"


def summed_up(errors, within):
    """A line for each number of hosts. Whether no prediction is off."""
    fine = True
    for hosts, of_hosts in sorted(errors.items()):
        off = sum(error > within for error in of_hosts)
        fine = fine and off == 0
        print(f"{hosts} hosts: {len(of_hosts)} predictions, {off} of them off by more than "
              f"{100 * within:g} %, the worst by {100 * max(of_hosts):.1f} %")
    return fine


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("result", help="JSON of bench/network")
    parser.add_argument("--calibration", action="append", default=[], metavar="P=FILE",
                        help="costs of P hosts (default: those in RESULT.json)")
    parser.add_argument("--plan", default="sparccl_plan", help="the program (default: %(default)s, in PATH)")
    parser.add_argument("--within", type=float, default=0.25, metavar="SHARE",
                        help="that predictions may be off by: 0.25 is 25 %% (default: %(default)s)")
    options = parser.parse_args()
    if not options.within > 0:
        parser.error(f"--within: expected a share above 0, found {options.within:g}")
    runs = runs_of(options.result)
    comparison = Comparison(Plan(options.plan), by_ranks(options.calibration), options.within)
    for run in runs:
        comparison.bring(run)
    for run in runs:
        comparison.calibration(run)  # missed before anything is told
    for run in runs:
        comparison.add(run)
    comparison.break_evens()
    if not comparison.errors:
        refuse(f"{options.result}: expected rows to compare with, found none")
    sys.exit(0 if summed_up(comparison.errors, options.within) else 1)


if __name__ == "__main__":
    main()
