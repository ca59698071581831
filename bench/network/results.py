"""What sparccl_perf printed at each rate, as points, a table and what is wrong with them.

usage: results.py RESULTS.json        prints the table of bench/network/run again
"""

import json
import sys

from breakeven import crossing

# What "x" means in the table and decides where a break-even is. A ratio of the two medians is another
# figure: they may be of different minutes.
RATIO = "times faster than dense: the median of the ratios of neighbouring blocks (rows' speedup)"

# Dense calls cannot be faster than the link: beyond this the look at the link was of another moment.
MORE_THAN_REACHED = 0.05
ENOUGH_OF_ASKED = 0.8  # below it the processors were the limit, or somebody else's work
STOLEN_THAT_COUNTS = 0.02  # of the processors' time; below it, it is not told


def rows_of(run):
    """Out-of-place rows by the path that was asked for."""
    return {row["path_asked"]: row for row in run["perf"]["rows"] if not row["in_place"]}


def times_of(run):
    """{name: seconds} of dense, of each path, and of the baselines."""
    rows = rows_of(run)
    times = {name: row["time_us"]["median"] / 1e6 for name, row in rows.items()}
    if rows:
        times["dense"] = min(row["dense_time_us"]["median"] for row in rows.values()) / 1e6
    for other in run["perf"].get("baselines", []):
        if not other.get("in_place", False):
            times[other["name"]] = other["time_us"]["median"] / 1e6
    return times


def ratios_of(run):
    """{path: times faster than dense}, as RATIO says."""
    return {name: row["speedup"] for name, row in rows_of(run).items() if name != "dense"}


def least_bytes(run):
    """That the dense calls alone must have sent from each host."""
    total = 0
    for row in run["perf"]["rows"]:
        calls = row["iterations"]
        total += calls * 2 * (run["hosts"] - 1) / run["hosts"] * row["bytes"]
    return total


def rate_doubts(run):
    """Why the rate that the link reached may be another than that of the run's calls: sentences. It is
    measured in a second before the calls and one after them, in which others may have had the processors."""
    doubts, reached = [], run["achieved_gbps"]
    where = f"{run['hosts']} hosts at {run['rate_gbps']:g} Gbit/s"
    dense = max((dense_gbps(run, row) for row in run["perf"]["rows"]), default=0)
    if dense > (1 + MORE_THAN_REACHED) * reached:
        doubts.append(f"{where}: dense calls moved {dense:.3g} Gbit/s, more than the {reached:.3g} reached")
    if reached < ENOUGH_OF_ASKED * run["rate_gbps"]:
        doubts.append(f"{where}: {reached:.3g} Gbit/s reached, less than {100 * ENOUGH_OF_ASKED:g} % of it")
    return doubts


def dense_gbps(run, row):
    """Of each host's link, by the bytes of the cheapest dense allreduce."""
    carried = 2 * (run["hosts"] - 1) / run["hosts"] * row["bytes"]
    return 8e-3 * carried / row["dense_time_us"]["median"]


def why_not(run, sent):
    """What makes a run no measurement, or None. sent: bytes of each host while it ran."""
    least = 0.9 * least_bytes(run)
    if min(sent) < least:
        return (f"expected at least {least:.3g} bytes on every link, found {min(sent):.3g}: "
                "the ranks talked some other way")  # fmt: skip
    wrong = sum(row["wrong"] or 0 for row in run["perf"]["rows"])
    if wrong:
        return f"{wrong} wrong entries"
    return None


def sparse_paths(runs):
    names = []
    for run in runs:
        names += [n for n in rows_of(run) if n not in names and n != "dense"]
    return names


def break_evens(runs):
    """{(hosts, path): Crossing}, over the rates that were reached."""
    found = {}
    for hosts in sorted({run["hosts"] for run in runs}):
        of_hosts = [run for run in runs if run["hosts"] == hosts]
        for path in sparse_paths(of_hosts):
            points = [
                (run["achieved_gbps"], ratios_of(run)[path]) for run in of_hosts if path in ratios_of(run)
            ]
            found[hosts, path] = crossing(points)
    return found


def break_even_line(hosts, path, found, doubtful):
    line = (f"{hosts} hosts, {path}: no break-even: {found.why}" if found.gbps is None
            else f"{hosts} hosts, {path}: break-even at {found.gbps:.1f} Gbit/s")  # fmt: skip
    rates = [f"{rate:.2f}*" for rate in found.rests_on if rate in doubtful[hosts]]
    return f"{line} (rests on {', '.join(rates)})" if rates else line


def doubtful_rates(runs):
    """{hosts: rates reached that rate_doubts() doubts}."""
    found = {run["hosts"]: set() for run in runs}
    for run in runs:
        if rate_doubts(run):
            found[run["hosts"]].add(run["achieved_gbps"])
    return found


def train_lines(runs):
    """Milliseconds of a training step with each method: computing, waiting and reducing. Methods run one
    after the other, so theirs is a ratio of two times: no blocks are next to each other."""
    if not runs:
        return []
    names = [method["method"] for method in runs[0]["train"]["methods"]]
    lines = ["", "MNIST, ms a step" + "".join(f"{name:>22}" for name in names)]
    for run in runs:
        steps = {method["method"]: 1e3 * method["seconds_per_step"]["total"]
                 for method in run["train"]["methods"]}
        line = f"{run['hosts']:5d} {run['rate_gbps']:10g}"
        for name in names:
            ratio = f" {steps['dense'] / steps[name]:6.1f}x" if name != "dense" else ""
            line += f"{steps[name]:>{22 - len(ratio)}.1f}{ratio}"
        lines.append(line)
    return [*lines, "x: the step's time with dense over its time", ""]


def burst_line(runs, burst):
    """Of the sparse calls: the one of which the largest part may pass before the rate holds. burst: bytes, of
    runs that do not tell theirs."""
    calls = [(min(1, run.get("burst_bytes", burst) / row["wire_bytes"]), -run["rate_gbps"], run["hosts"], path,
              row["wire_bytes"])
             for run in runs if "burst_bytes" in run or burst for path, row in rows_of(run).items()
             if path != "dense" and row.get("path") != "dense" and row.get("wire_bytes")]  # fmt: skip
    if not calls:
        return []
    part, rate, hosts, path, sent = max(calls, key=lambda call: call[:2])
    all_ms = -8e-6 * sent / rate
    return [f"burst: up to {100 * part:.0f} % of a call's {sent:,.0f} bytes ({hosts} hosts, {path}) pass unshaped; "
            f"at {-rate:g} Gbit/s the rest takes {all_ms * (1 - part):.2g} ms, all would take {all_ms:.2g}"]


def stolen_line(runs):
    """A virtual machine's: times of such a row are of a slower one."""
    worst = max(runs, key=lambda run: run.get("stolen_share", 0), default={})
    share = worst.get("stolen_share", 0)
    if share < STOLEN_THAT_COUNTS:
        return []
    return [f"stolen: the machine's host gave up to {100 * share:.0f} % of the processors' time to others "
            f"({worst['hosts']} hosts at {worst['rate_gbps']:g} Gbit/s)"]  # fmt: skip


def table(runs, burst=None):
    """Milliseconds (medians), and RATIO."""
    names = ["dense", *sparse_paths(runs)]
    lines = ["hosts   Gbit/s  reached   rtt us" + "".join(f"{name:>22}" for name in names)]
    for run in runs:
        times, ratios = times_of(run), ratios_of(run)
        mark = "*" if rate_doubts(run) else " "
        line = (f"{run['hosts']:5d} {run['rate_gbps']:8g} {run['achieved_gbps']:8.2f}{mark}"
                f"{run['rtt_us']:8.0f}")  # fmt: skip
        for name in names:
            if name not in times:
                line += f"{'-':>22}"
                continue
            ratio = f" {ratios[name]:6.1f}x" if name != "dense" else ""
            line += f"{1e3 * times[name]:>{22 - len(ratio)}.1f}{ratio}"
        lines.append(line)
    lines.append(f"ms: medians; x: {RATIO}")
    lines += burst_line(runs, burst)
    lines += stolen_line(runs)
    lines += [f"*: the rate is in doubt: {doubt}" for run in runs for doubt in rate_doubts(run)]
    lines += train_lines([run for run in runs if "train" in run])
    doubtful = doubtful_rates(runs)
    for (hosts, path), found in break_evens(runs).items():
        lines.append(break_even_line(hosts, path, found, doubtful))
    return "\n".join(lines)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    try:
        with open(sys.argv[1], encoding="utf-8") as file:
            found = json.load(file)
        print(table(found["runs"], found.get("burst_bytes")))
    except OSError as error:
        raise SystemExit(f"results.py: {error}") from error
    except ValueError as error:
        raise SystemExit(f"results.py: {sys.argv[1]}: expected what bench/network/run --json writes, "
                         f"found {error}") from error  # fmt: skip
    except (KeyError, TypeError) as error:
        raise SystemExit(f"results.py: {sys.argv[1]}: expected what bench/network/run --json writes, "
                         f"missed {error}") from error  # fmt: skip
