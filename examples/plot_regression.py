#!/usr/bin/env python3
"""Plots what linear_regression --json and toy --json wrote.

usage: plot_regression.py regression RESULT.json PLOT.png [--type float64]
       plot_regression.py toy RESULT.json PLOT.png             (needs matplotlib: Debian's python3-matplotlib)
"""
import argparse
import json
import statistics
import sys

try:
    import matplotlib
except ImportError:
    sys.exit(f"plot_regression.py: {sys.executable} has no matplotlib; try another Python, "
             "or install python3-matplotlib")

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402: the backend must be chosen first

# Colours of Okabe and Ito, told apart by the colour-blind, too.
STYLES = {"dense": ("Dense allreduce", "#000000"), "topk": ("Top-k", "#D55E00"), "regtopk": ("RegTop-k", "#0072B2")}
MU = 4  # of the curves


def median_curve(runs):
    rounds = runs[0]["curve"]["round"]
    return rounds, [statistics.median(values) for values in zip(*(run["curve"]["gap"] for run in runs))]


def chosen(result, kind):
    """The runs of a type, by method and density; of RegTop-k those of one mu."""
    found = {}
    for run in result["runs"]:
        if run["type"] == kind and (run["method"] != "regtopk" or run["mu"] == MU):
            found.setdefault((run["method"], run["density"]), []).append(run)
    return found


def draw_regression(result, path, kind):
    runs = chosen(result, kind)
    densities = sorted({density for method, density in runs if method != "dense"})
    if not densities:
        sys.exit(f"plot_regression.py: no runs of type {kind}")
    figure, rows = plt.subplots(2, len(densities), figsize=(3.1 * len(densities), 6.2), sharey=True,
                                layout="constrained", squeeze=False)
    for column, density in enumerate(densities):
        for method in STYLES:
            each = runs.get((method, 1 if method == "dense" else density))
            if not each:
                continue
            name, colour = STYLES[method]
            rounds, gaps = median_curve(each)
            sent = [r * each[0]["entries_a_round"] / 1000 for r in rounds]
            for row, x in ((0, rounds), (1, sent)):
                for run in each:
                    thin = x if row == 0 else [r * run["entries_a_round"] / 1000 for r in run["curve"]["round"]]
                    rows[row][column].plot(thin, run["curve"]["gap"], color=colour, linewidth=0.4, alpha=0.35)
                rows[row][column].plot(x, gaps, color=colour, linewidth=1.8, label=name)
        rows[0][column].set_title(f"density {density:g}")
        rows[0][column].set_xlabel("rounds")
        rows[1][column].set_xlabel("thousand entries sent by a worker")
        for row in (0, 1):
            rows[row][column].set_yscale("log")
            rows[row][column].grid(alpha=0.25)
    for row in (0, 1):
        rows[row][0].set_ylabel(r"$|w - w^*|^2$")
    rows[0][0].legend(fontsize="small")
    seeds = len({run["seed"] for run in result["runs"]})
    figure.suptitle(f"Linear regression, {result['about']['workers']} workers, {kind}, mu {MU}: "
                    f"{seeds} seeds (thin) and their median",
                    fontsize="large" if len(densities) > 1 else "x-small")
    figure.savefig(path, dpi=110)


def draw_toy(result, path):
    figure, (loss, weight) = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    for each in result["methods"]:
        name, colour = STYLES[each["method"]]
        dashes = (0, (4, 2)) if each["method"] == "regtopk" else "-"
        rounds = range(len(each["loss"]))
        loss.plot(rounds, each["loss"], color=colour, linestyle=dashes, label=name)
        weight.plot(rounds, [w[1] for w in each["weights"]], color=colour, linestyle=dashes, label=name)
    loss.set_yscale("log")
    loss.set_ylabel("loss")
    weight.set_ylabel("second weight")
    for axes in (loss, weight):
        axes.set_xlabel("rounds")
        axes.grid(alpha=0.25)
    loss.legend()
    figure.savefig(path, dpi=110)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["regression", "toy"])
    parser.add_argument("result")
    parser.add_argument("plot")
    parser.add_argument("--type", default="float64", help="of the runs: float64 (default) or float32")
    options = parser.parse_args()
    try:
        with open(options.result, encoding="utf-8") as file:
            result = json.load(file)
        if options.what == "toy":
            draw_toy(result, options.plot)
        else:
            draw_regression(result, options.plot, options.type)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        sys.exit(f"plot_regression.py: {options.result}: {type(error).__name__}: {error}")


if __name__ == "__main__":
    main()
