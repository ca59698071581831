"""Times against bandwidth, a panel for each number of hosts.

usage: plot.py RESULTS.json PICTURE.png
"""

import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from plotting import start_again_where_matplotlib_is  # noqa: E402

if __name__ == "__main__":
    start_again_where_matplotlib_is()
try:
    import matplotlib
except ImportError as missing:
    if __name__ != "__main__":
        raise
    raise SystemExit(f"plot.py: {sys.executable} has no matplotlib: install python3-matplotlib") from missing

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402

from results import break_evens, doubtful_rates, sparse_paths, times_of  # noqa: E402


def formats():
    return sorted(plt.figure().canvas.get_supported_filetypes())


def draw(results, picture):
    runs = results["runs"]
    if not runs:
        raise ValueError("expected runs, found none: nothing could be measured")
    worlds = sorted({run["hosts"] for run in runs})
    figure, panels = plt.subplots(1, len(worlds), figsize=(4.2 * len(worlds), 3.6), sharey=True,
                                  squeeze=False)  # fmt: skip
    crossings, doubtful = break_evens(runs), doubtful_rates(runs)
    for panel, hosts in zip(panels[0], worlds):
        of_hosts = sorted((r for r in runs if r["hosts"] == hosts), key=lambda r: r["achieved_gbps"])
        for i, name in enumerate(["dense", *sparse_paths(of_hosts)]):
            points = [(r["achieved_gbps"], 1e3 * times_of(r)[name])
                      for r in of_hosts if name in times_of(r)]  # fmt: skip
            panel.plot(*zip(*points), marker="o", markersize=3, color=f"C{i}", label=name)
            hollow = [point for point in points if point[0] in doubtful[hosts]]
            panel.plot(*zip(*hollow), marker="o", markersize=3, linestyle="none", color=f"C{i}",
                       markerfacecolor="white")  # fmt: skip
            found = crossings.get((hosts, name))
            if found and found.gbps is not None and not doubtful[hosts] & set(found.rests_on):
                panel.axvline(found.gbps, color=f"C{i}", linestyle=":", linewidth=1)
        panel.set_xscale("log")
        panel.set_yscale("log")
        panel.set_title(f"{hosts} hosts", fontsize=10)
        panel.set_xlabel("bandwidth of each host's link (Gbit/s)")
        panel.grid(True, which="major", linewidth=0.3)
    panels[0][0].set_ylabel("time of a call (ms)")
    panels[0][0].legend(fontsize=8)
    hollow = "; hollow: rate in doubt" if any(doubtful.values()) else ""
    figure.suptitle(f"{results['count']:,} float32, density {100 * results['density']:g} %"
                    f"{'; ' if len(worlds) > 1 else chr(10)}dotted: break-even{hollow}", fontsize=10)  # fmt: skip
    figure.tight_layout()
    figure.savefig(picture, dpi=150)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    try:
        with open(sys.argv[1], encoding="utf-8") as file:
            draw(json.load(file), sys.argv[2])
    except (OSError, ValueError) as error:
        raise SystemExit(f"plot.py: {error}") from error
    except (KeyError, TypeError) as error:
        raise SystemExit(f"plot.py: {sys.argv[1]}: expected what bench/network/run --json writes, "
                         f"missed {error}") from error  # fmt: skip
