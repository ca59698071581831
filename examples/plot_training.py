#!/usr/bin/env python3
"""Plots what train_mnist --json wrote: test accuracy against steps and against bytes sent.

usage: plot_training.py RESULT.json PLOT.png      (needs matplotlib: Debian's python3-matplotlib)
"""
import argparse
import json
import sys

try:
    import matplotlib
except ImportError:
    sys.exit(f"plot_training.py: {sys.executable} has no matplotlib; try another Python, "
             "or install python3-matplotlib")

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402: the backend must be chosen first

# Colours of Okabe and Ito, told apart by the colour-blind, too; dashes for where lines coincide.
STYLES = {
    "dense": ("Dense allreduce", dict(color="#000000", linestyle="-", linewidth=1.4)),
    "topk": ("Top-k", dict(color="#D55E00", linestyle="-", linewidth=2.2)),
    "regtopk": ("RegTop-k", dict(color="#0072B2", linestyle=(0, (4, 2)), linewidth=1.6)),
}


def human_bytes(count):
    for unit in ("B", "kB", "MB", "GB"):
        if count < 999.5:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} TB"


def label_of(method, result):
    name = STYLES[method["method"]][0]
    if method["method"] == "regtopk":
        name += f" ($\\mu$ = {result['config']['mu']:g})"
    return f"{name}: {100 * method['test_accuracy']:.2f} %"


def limits(result):
    """Lowest and highest accuracy to show: the first steps would squeeze all that matters."""
    curves = [[100 * value for value in method["curve"]["test_accuracy"]] for method in result["methods"]]
    settled = min(curve[len(curve) // 4] for curve in curves)
    best = max(max(curve) for curve in curves)
    return max(0, 5 * ((settled - 8) // 5)), min(100, best + 1.5)


def draw(result, path):
    figure, (by_step, by_bytes) = plt.subplots(1, 2, figsize=(11, 4.6), sharey=True, layout="constrained")
    low, high = limits(result)
    leftmost, ends = [], {}
    for method in result["methods"]:
        curve, style = method["curve"], STYLES[method["method"]][1]
        accuracy = [100 * value for value in curve["test_accuracy"]]
        label = label_of(method, result)
        by_step.plot(curve["step"], accuracy, label=label, **style)
        sent = [(count, value) for count, value in zip(curve["bytes"], accuracy) if count > 0]
        if not sent:  # a single rank sends nothing
            continue
        by_bytes.plot(*zip(*sent), label=label, **style)
        by_bytes.plot(*sent[-1], marker="o", markersize=5, color=style["color"])
        leftmost.append(min((count for count, value in sent if value >= low), default=sent[0][0]))
        words = human_bytes(sent[-1][0])
        ends[words] = max(ends.get(words, sent[-1]), sent[-1], key=lambda end: end[1])

    by_step.set_xlabel("Steps")
    by_step.set_ylabel("Test accuracy [%]")
    by_step.set_title("Per step")
    by_step.set_ylim(low, high)
    by_step.set_xlim(left=0)
    by_step.legend(loc="lower right", title="at the end", frameon=True)
    by_bytes.set_xlabel("Bytes sent by each rank (logarithmic)")
    by_bytes.set_title("Per byte")
    if leftmost:
        by_bytes.set_xscale("log")
        by_bytes.set_xlim(min(leftmost) / 3, 3 * max(count for count, _ in ends.values()))
    by_bytes.xaxis.set_major_formatter(lambda value, _: human_bytes(value))
    for words, end in ends.items():
        by_bytes.annotate(words, end, xytext=(0, 7), textcoords="offset points", ha="center")
    for axes in (by_step, by_bytes):
        axes.grid(True, which="major", color="#d8d8d8", linewidth=0.7)
        axes.spines[["top", "right"]].set_visible(False)

    config = result["config"]
    figure.suptitle(
        f"{network(config)}, {result['parameters']:,} parameters, "
        f"{result['world_size']} ranks, density {100 * config['density']:g} %", fontsize=12)
    figure.savefig(path, dpi=150)


def network(config):
    """One of convolutions names itself; other files have a perceptron's widths alone."""
    widths = "-".join(map(str, config["widths"]))
    channels = config.get("convolutions") or []
    return f"convolutions of {', '.join(map(str, channels))} channels and MLP {widths}" if channels else f"MLP {widths}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("result", help="JSON file of train_mnist")
    parser.add_argument("plot", help="PNG file to write")
    arguments = parser.parse_args()
    try:
        with open(arguments.result, encoding="utf-8") as file:
            result = json.load(file)
        draw(result, arguments.plot)
    except (OSError, ValueError, KeyError, IndexError, TypeError) as error:
        sys.exit(f"plot_training.py: {arguments.result}: {type(error).__name__}: {error}")


if __name__ == "__main__":
    main()
