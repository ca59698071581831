#!/usr/bin/env python3
"""Scale on paper: what the cost model says of 8 to 65,536 ranks, from 10 Mbit/s to 400 Gbit/s.

usage: scale.py --calibration FILE [--plan sparccl_plan] [--plot PLOT.png] [--json OUT.json]

Prints a table in Markdown and every constant that went in, with its source (networks.json, beside
this file). FILE: written by sparccl_plan --probe --save. Exit code 2 for bad input.
"""
import argparse
import json
import os
import sys

from predictions import Adjusted, Plan, reading, refuse, require_writable, seconds, show_seconds
from plotting import start_again_where_matplotlib_is  # beside files.py, where predictions looks

HERE = os.path.dirname(os.path.abspath(__file__))
PATHS = ("dense", "allgather", "split", "hierarchical")


def spread(inputs, ranks):
    """Over nodes, where there are enough for several; else each behind a link of its own."""
    if ranks <= int(inputs["ranks_per_node"]):
        return ["--ranks-per-node", 1]
    return ["--ranks-per-node", inputs["ranks_per_node"], "--node-bandwidth", inputs["node_bandwidth"],
            "--node-latency", inputs["node_latency"]]


def predict_all(plan, calibration, inputs):
    rows = []
    for network in inputs["networks"]:
        with Adjusted(calibration, seconds(network["message"])) as costs:
            for model in inputs["models"]:
                for ranks in inputs["ranks"]:
                    answer = plan.at(costs, model["count"], inputs["density"], ranks,
                                     "--bandwidth", network["bandwidth"],
                                     "--latency", network["latency"], *spread(inputs, ranks))
                    times = {name: path["seconds"] for name, path in answer["paths"].items()}
                    rows.append({"network": network["name"], "model": model["name"], "ranks": ranks,
                                 "seconds": times, "choice": answer["choice"],
                                 "speedup": answer["speedup"]})
    return rows


def table(rows):
    yield "| network | parameters | ranks | dense | allgather | split | hierarchical | taken | best sparse against dense |"
    yield "|---|---|---|---|---|---|---|---|---|"
    for row in rows:
        times = " | ".join(show_seconds(row["seconds"][path]) if path in row["seconds"] else "-"
                           for path in PATHS)
        yield (f"| {row['network']} | {row['model']} | {row['ranks']:,} | {times} | {row['choice']} "
               f"| {row['speedup']:.3g} x |")


def check(inputs):
    """Raises what reading() tells, where something is not there."""
    for network in inputs["networks"]:
        seconds(network["message"])
        for name in ("name", "bandwidth", "latency"):
            str(network[name])
        inputs["sources"][network["latency_source"]].strip()
    for model in inputs["models"]:
        int(model["count"])
    for name in ("ranks", "density", "ranks_per_node", "node_bandwidth", "node_latency"):
        str(inputs[name])
    for name in ("stages", "bandwidth", "message", "node", "steps", "density"):
        str(inputs["sources"][name])


def constants(inputs, measured):
    stages, machine = measured["stages"], measured["machine"]
    sources = inputs["sources"]
    (n0, t0), (n1, t1) = stages["pass"][-2:]
    (m0, r0), (m1, r1) = stages["result"][-2:]
    yield "| constant | value | source |"
    yield "|---|---|---|"
    yield f"| pass over the gradient | {1e9 * (t1 - t0) / (n1 - n0):.2f} ns an entry | {sources['stages']}; {machine['cpu']}, {machine['world_size']} ranks |"
    yield f"| writing the result | {1e9 * (r1 - r0) / (m1 - m0):.2f} ns an entry | the same |"
    yield f"| an entry sent | {1e9 * stages['selected'][0][1]:.1f} ns | the same |"
    yield f"| an entry received | {1e9 * stages['merged'][0][1]:.1f} ns | the same |"
    yield f"| a byte of a dense reduction | {1e9 * stages['reduction']:.3f} ns | the same |"
    for network in inputs["networks"]:
        yield (f"| {network['name']} | {network['latency']} a message, {network['message']} to send it "
               f"| {sources[network['latency_source']]} |")
    yield f"| bandwidths | as named | {sources['bandwidth']} |"
    yield f"| sending a message | as above | {sources['message']} |"
    yield f"| a node | {inputs['ranks_per_node']} ranks, {inputs['node_bandwidth']}, {inputs['node_latency']} | {sources['node']} |"
    yield f"| collectives | steps and bytes | {sources['steps']} |"
    yield f"| density | {100 * inputs['density']:g} % | {sources['density']} |"


def drawing(path):
    """matplotlib, if it can draw that file."""
    start_again_where_matplotlib_is()
    try:
        import matplotlib
    except ImportError:
        refuse(f"--plot: {sys.executable} has no matplotlib; install python3-matplotlib, or leave it out")
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    formats = sorted(plt.figure().canvas.get_supported_filetypes())
    if os.path.splitext(path)[1][1:].lower() not in formats:
        refuse(f"--plot: expected a name that ends with one of {', '.join(formats)}, found {path}")
    return plt


def draw(plt, rows, inputs, path):
    # Colours of Okabe and Ito, told apart by the colour-blind, too.
    styles = {"dense": "#000000", "allgather": "#D55E00", "split": "#0072B2",
              "hierarchical": "#009E73"}
    networks = [n["name"] for n in inputs["networks"]]
    shown = [networks[0], networks[3], networks[-1]]
    models = [m["name"] for m in inputs["models"]]
    figure, axes = plt.subplots(len(models), len(shown), figsize=(10, 8), sharex=True)
    for line, model in zip(axes, models):
        for axis, network in zip(line, shown):
            here = [r for r in rows if r["model"] == model and r["network"] == network]
            for name in PATHS:
                points = [(r["ranks"], r["seconds"][name]) for r in here if name in r["seconds"]]
                axis.plot(*zip(*points), color=styles[name], marker="o", markersize=3, label=name)
            axis.set_xscale("log", base=2)
            axis.set_yscale("log")
            axis.grid(True, alpha=0.3)
            axis.set_title(f"{model} parameters, {network}", fontsize=9)
    for axis in axes[-1]:
        axis.set_xlabel("ranks")
    for line in axes:
        line[0].set_ylabel("seconds a step")
    axes[0][0].legend(fontsize=8)
    figure.suptitle(f"Predicted time of one step, density {100 * inputs['density']:g} %")
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calibration", required=True, help="what sparccl_plan --probe --save wrote")
    parser.add_argument("--plan", default="sparccl_plan", help="the program (default: %(default)s, in PATH)")
    parser.add_argument("--inputs", default=os.path.join(HERE, "networks.json"),
                        help="networks, models, ranks (default: networks.json beside this file)")
    parser.add_argument("--plot", metavar="FILE", help="a picture, by matplotlib (default: none)")
    parser.add_argument("--json", metavar="FILE", help="write the figures to this file as well (default: none)")
    options = parser.parse_args()
    for flag, path in (("--json", options.json), ("--plot", options.plot)):
        if path:
            require_writable(flag, path)
    plt = drawing(options.plot) if options.plot else None
    with reading(options.inputs, "JSON such as networks.json"), open(options.inputs) as file:
        inputs = json.load(file)
        check(inputs)
    with reading(options.calibration, "what sparccl_plan --probe --save writes"), open(options.calibration) as file:
        told = list(constants(inputs, json.load(file)))
    rows = predict_all(Plan(options.plan), options.calibration, inputs)
    print("\n".join(table(rows)), end="\n\n")
    print("\n".join(told))
    if options.json:
        with open(options.json, "w") as file:
            json.dump({"inputs": inputs, "calibration": os.path.basename(options.calibration),
                       "rows": rows}, file, indent=1)
            file.write("\n")
    if options.plot:
        draw(plt, rows, inputs, options.plot)


if __name__ == "__main__":
    main()
