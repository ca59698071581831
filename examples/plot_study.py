#!/usr/bin/env python3
"""Plots what train_mnist --study --json wrote.

usage: plot_study.py RESULT.json ACCURACY.png [SCHEDULES.png]    (needs matplotlib: Debian's python3-matplotlib)
"""
import argparse
import json
import math
import statistics
import sys

try:
    import matplotlib
except ImportError:
    sys.exit(f"plot_study.py: {sys.executable} has no matplotlib; try another Python, "
             "or install python3-matplotlib")

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402: the backend must be chosen first

# Colours of Okabe and Ito, told apart by the colour-blind, too.
CONTENDERS = {("topk", 0): ("Top-k", "#D55E00"), ("regtopk", 1): ("RegTop-k, mu 1", "#56B4E9"),
              ("regtopk", 2): ("RegTop-k, mu 2", "#0072B2"), ("regtopk", 5): ("RegTop-k, mu 5", "#009E73")}
SCHEDULES = {"constant": "-", "warmup": "--", "accordion": ":"}
STUDENT = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262)  # two-sided, 95 %, from 1 degree on
SHARDS = {"mixed": "mixed shards", "sorted": "shards sorted by label"}


def interval(values):
    """Mean and half the 95 % interval, in percent."""
    mean = statistics.mean(values)
    half = 0.0
    if 2 <= len(values) <= len(STUDENT) + 1:
        half = STUDENT[len(values) - 2] * statistics.stdev(values) / math.sqrt(len(values))
    return 100 * mean, 100 * half


class Study:
    def __init__(self, result):
        self.runs = result["runs"]

        channels = result["about"].get("convolutions")
        self.network = f"convolutions of {', '.join(map(str, channels))} channels" if channels else "perceptron"

    def values(self, name):
        return sorted({run[name] for run in self.runs})

    def of(self, **key):
        return [run for run in self.runs if all(run[name] == value for name, value in key.items())]

    def accuracies(self, **key):
        return [run["test_accuracy"] for run in self.of(**key)]


def draw_panel(axes, study, setting):
    dense = study.accuracies(method="dense", **setting)
    if dense:
        mean, half = interval(dense)
        axes.axhline(mean, color="black", linewidth=1, label="dense")
        axes.axhspan(mean - half, mean + half, color="black", alpha=0.1)
    densities = [d for d in study.values("density") if d < 1]
    for i, ((method, mu), (name, colour)) in enumerate(CONTENDERS.items()):
        points = [(d, study.accuracies(method=method, mu=mu, density=d, schedule="constant", **setting))
                  for d in densities]
        points = [(d * (1 + 0.06 * (i - 1.5)), *interval(each)) for d, each in points if each]
        if points:
            x, y, half = zip(*points)
            axes.errorbar(x, y, yerr=half, color=colour, marker="o", markersize=3, linewidth=1, capsize=2, label=name)
    axes.set_xscale("log")
    axes.grid(alpha=0.25)


def draw_accuracy(study, path):
    rows = [(shards, local) for shards in SHARDS for local in study.values("local_steps")]
    columns = study.values("ranks")
    figure, panels = plt.subplots(len(rows), len(columns), figsize=(3 * len(columns), 2.5 * len(rows)),
                                  squeeze=False, sharex=True, layout="constrained")
    for i, (shards, local) in enumerate(rows):
        for j, ranks in enumerate(columns):
            axes = panels[i][j]
            draw_panel(axes, study, {"ranks": ranks, "shards": shards, "local_steps": local})
            axes.set_title(f"{ranks} workers, {SHARDS[shards]},\n{local} local step{'s' * (local > 1)}",
                           fontsize="small")
            if i == len(rows) - 1:
                axes.set_xlabel("density")
            if j == 0:
                axes.set_ylabel("test accuracy, %")
    panels[0][0].legend(fontsize="x-small")
    seeds = len(study.values("seed"))
    figure.suptitle(f"MNIST digits, {study.network}: mean of {seeds} seeds and its 95 % interval")
    figure.savefig(path, dpi=100)


def mean_curve(runs):
    size = min(len(run["curve"]["bytes"]) for run in runs)

    def mean(name):
        return [statistics.mean(run["curve"][name][i] for run in runs) for i in range(size)]
    return mean("bytes"), [100 * value for value in mean("test_accuracy")]


def draw_schedules(study, path):
    scheduled = [run for run in study.runs if run["schedule"] != "constant"]
    if not scheduled:
        sys.exit("plot_study.py: no run with a schedule")
    ranks, density = scheduled[0]["ranks"], scheduled[0]["density"]
    figure, panels = plt.subplots(1, 2, figsize=(9, 3.8), layout="constrained", sharey=True)
    for axes, (shards, title) in zip(panels, SHARDS.items()):
        for (method, mu), (name, colour) in CONTENDERS.items():
            for schedule, dashes in SCHEDULES.items():
                runs = study.of(ranks=ranks, shards=shards, local_steps=1, method=method, mu=mu, density=density,
                                schedule=schedule)
                if not runs or not study.of(method=method, mu=mu, schedule="accordion"):
                    continue
                sent, right = mean_curve(runs)
                axes.plot(sent[1:], right[1:], dashes, color=colour, linewidth=1.4,
                          label=name + ("" if schedule == "constant" else f", {schedule}"))
        axes.set_title(f"{ranks} workers, {title}, density {density:g}", fontsize="medium")
        axes.set_xscale("log")
        axes.set_xlabel("bytes sent by a worker")
        axes.grid(alpha=0.25)
    panels[0].set_ylabel("test accuracy, %")
    panels[0].legend(fontsize="x-small")
    figure.savefig(path, dpi=110)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("result")
    parser.add_argument("accuracy")
    parser.add_argument("schedules", nargs="?")
    options = parser.parse_args()
    try:
        with open(options.result, encoding="utf-8") as file:
            study = Study(json.load(file))
        draw_accuracy(study, options.accuracy)
        if options.schedules:
            draw_schedules(study, options.schedules)
    except (OSError, ValueError, KeyError, TypeError) as error:
        sys.exit(f"plot_study.py: {options.result}: {type(error).__name__}: {error}")


if __name__ == "__main__":
    main()
