"""What sparccl_perf printed at each rate, as points, a table and what is wrong with them."""

from breakeven import crossing

# What "x" means in the table and decides where a break-even is. A ratio of the two medians is another
# figure: they may be of different minutes.
RATIO = "times faster than dense: the median of the ratios of neighbouring blocks (rows' speedup)"


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


def why_not(run, sent):
    """What makes a run no measurement, or None. sent: bytes of each host while it ran."""
    least = 0.9 * least_bytes(run)
    if min(sent) < least:
        return (
            f"{run['hosts']} hosts at {run['rate_gbps']:g} Gbit/s: expected at least {least:.3g} bytes "
            f"on every link, found {min(sent):.3g}: the ranks talked some other way"
        )
    wrong = sum(row["wrong"] or 0 for row in run["perf"]["rows"])
    if wrong:
        return f"{run['hosts']} hosts at {run['rate_gbps']:g} Gbit/s: {wrong} wrong entries"
    return None


def sparse_paths(runs):
    names = []
    for run in runs:
        names += [n for n in rows_of(run) if n not in names and n != "dense"]
    return names


def break_evens(runs):
    """{(hosts, path): (gbps, None) or (None, sentence)}, over the rates that were reached."""
    found = {}
    for hosts in sorted({run["hosts"] for run in runs}):
        of_hosts = [run for run in runs if run["hosts"] == hosts]
        for path in sparse_paths(of_hosts):
            points = [
                (run["achieved_gbps"], ratios_of(run)[path]) for run in of_hosts if path in ratios_of(run)
            ]
            found[hosts, path] = crossing(points)
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


def table(runs):
    """Milliseconds (medians), and RATIO."""
    names = ["dense", *sparse_paths(runs)]
    lines = ["hosts   Gbit/s  reached   rtt us" + "".join(f"{name:>22}" for name in names)]
    for run in runs:
        times, ratios = times_of(run), ratios_of(run)
        line = (f"{run['hosts']:5d} {run['rate_gbps']:8g} {run['achieved_gbps']:8.2f} "
                f"{run['rtt_us']:8.0f}")  # fmt: skip
        for name in names:
            if name not in times:
                line += f"{'-':>22}"
                continue
            ratio = f" {ratios[name]:6.1f}x" if name != "dense" else ""
            line += f"{1e3 * times[name]:>{22 - len(ratio)}.1f}{ratio}"
        lines.append(line)
    lines.append(f"ms: medians; x: {RATIO}")
    lines += train_lines([run for run in runs if "train" in run])
    for (hosts, path), (gbps, why) in break_evens(runs).items():
        lines.append(f"{hosts} hosts, {path}: break-even at {gbps:.1f} Gbit/s" if why is None
                     else f"{hosts} hosts, {path}: no break-even: {why}")  # fmt: skip
    return "\n".join(lines)
