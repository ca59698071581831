#!/usr/bin/env python3
"""Holds the cost model's predictions against what bench/network measured.

usage: compare.py RESULT.json [--calibration P=FILE ...] [--plan sparccl_plan]

RESULT.json brings the costs of its P hosts, which sparccl_plan --probe measured at the highest of the
rates (there the processors' part of a byte is known as well); a FILE of other costs takes their place.
Predictions for the other rates change the bandwidth and nothing else. Exit code 1 where a prediction
is off by more than --within.
"""
import argparse
import json
import math
import statistics
import sys
import tempfile

from predictions import Plan, show_seconds


def by_ranks(texts):
    files = {}
    for text in texts:
        ranks, _, path = text.partition("=")
        if not ranks.isdigit() or not path:
            sys.exit(f"--calibration: expected P=FILE, found {text}")
        files[int(ranks)] = path
    return files


def rows_of(run):
    """(entries, density, path, seconds): of the paths that were asked for by name, and of dense."""
    dense = {}
    for row in run["perf"]["rows"]:
        if row["in_place"]:
            continue
        dense.setdefault((row["count"], row["density"]), []).append(row["dense_time_us"]["median"])
        if row["path_asked"] not in ("auto", "dense"):
            yield row["count"], row["density"], row["path_asked"], 1e-6 * row["time_us"]["median"]
    for (count, density), times in dense.items():
        yield count, density, "dense", 1e-6 * statistics.median(times)


def measured_break_even(points):
    """Rate at which the fastest sparse path takes as long as dense, between the rates measured on
    either side, along lines in the logarithms. points: (rate, dense / sparse)."""
    points = sorted(points)
    for (low, above), (high, below) in zip(points, points[1:]):
        if above > 1 >= below:
            share = math.log(above) / (math.log(above) - math.log(below))
            return low * (high / low) ** share
    return None


class Comparison:
    def __init__(self, plan, files, within):
        self.plan, self.files, self.within = plan, files, within
        self.errors = []
        self.ratios = {}  # (hosts, count, density) -> [(rate, dense / best sparse)]
        self.answers = {}
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
        sys.exit(f"expected costs of {run['hosts']} hosts, found none: --calibration {run['hosts']}=FILE")

    def add(self, run):
        calibration = self.calibration(run)
        rate = run.get("achieved_gbps") or run["rate_gbps"]
        times = {}
        for count, density, path, measured in rows_of(run):
            answer = self.plan.at(calibration, count, density, run["hosts"], "--bandwidth",
                                  f"{rate:.9g}gbit")
            if path not in answer["paths"]:
                continue
            predicted = answer["paths"][path]["seconds"]
            self.tell(f"{run['hosts']} hosts, {rate:.4g} Gbit/s, {count} entries, "
                      f"{100 * density:g} %, {path}", predicted, measured, show_seconds)
            times.setdefault((run["hosts"], count, density), {})[path] = measured
            self.answers[run["hosts"], count, density] = answer
        for case, paths in times.items():
            dense = paths.pop("dense", None)
            if dense is not None and paths:
                self.ratios.setdefault(case, []).append((rate, dense / min(paths.values())))

    def break_evens(self):
        for case, points in sorted(self.ratios.items()):
            measured = measured_break_even(points)
            predicted = self.answers[case]["break_even_bandwidth"]
            name = f"break-even of {case[0]} hosts, {case[1]} entries, {100 * case[2]:g} %"
            if measured is None or predicted["kind"] != "at":
                side = "; ".join(f"{rate:.4g} Gbit/s: {ratio:.3g} x" for rate, ratio in sorted(points))
                print(f"{name}: not inside the rates measured ({side}); predicted: {predicted}")
                continue
            self.tell(name, 8e-9 * predicted["bytes_per_second"], measured,
                      lambda gbps: f"{gbps:.4g} Gbit/s")

    def tell(self, name, predicted, measured, show):
        error = predicted / measured - 1
        self.errors.append(abs(error))
        mark = "" if abs(error) <= self.within else "   <-- off"
        print(f"{name}: predicted {show(predicted)}, measured {show(measured)}, {100 * error:+.1f} %{mark}")


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("result", help="JSON of bench/network")
    parser.add_argument("--calibration", action="append", default=[], metavar="P=FILE")
    parser.add_argument("--plan", default="sparccl_plan", help="the program")
    parser.add_argument("--within", type=float, default=0.25)
    options = parser.parse_args()
    with open(options.result) as file:
        runs = json.load(file)["runs"]
    comparison = Comparison(Plan(options.plan), by_ranks(options.calibration), options.within)
    for run in runs:
        comparison.bring(run)
    for run in runs:
        comparison.add(run)
    comparison.break_evens()
    if not comparison.errors:
        sys.exit(f"{options.result}: expected rows to compare with, found none")
    worst = max(comparison.errors)
    off = sum(error > options.within for error in comparison.errors)
    print(f"{len(comparison.errors)} predictions, {off} of them off by more than "
          f"{100 * options.within:g} %, the worst by {100 * worst:.1f} %")
    sys.exit(1 if off else 0)


if __name__ == "__main__":
    main()
