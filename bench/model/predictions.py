"""Asks sparccl_plan: the cost model itself is C++ (plugin/cost_model), and there is no second one here."""
import json
import os
import subprocess
import sys
import tempfile


class Plan:
    def __init__(self, program):
        self.program = program

    def ask(self, *arguments):
        command = [self.program, "--json", *map(str, arguments)]
        try:
            done = subprocess.run(command, capture_output=True, text=True)
        except OSError as error:
            sys.exit(f"{self.program}: {error.strerror}; build it (cmake --build --preset host "
                     "--target sparccl_plan) or name it with --plan")
        if done.returncode != 0:
            sys.exit(f"{' '.join(command)}\n{done.stderr.strip()}")
        return json.loads(done.stdout)

    def at(self, calibration, count, density, ranks, *arguments):
        return self.ask("--calibration", calibration, "--count", count, "--density", density,
                        "--ranks", ranks, *arguments)


class Adjusted:
    """A calibration file with the cost of a message put in, for as long as it is open."""

    def __init__(self, calibration, seconds_per_message):
        with open(calibration) as file:
            self.costs = json.load(file)
        self.costs["shared"]["seconds_per_message"] = seconds_per_message

    def __enter__(self):
        handle, self.path = tempfile.mkstemp(suffix=".json")
        with os.fdopen(handle, "w") as file:
            json.dump(self.costs, file)
        return self.path

    def __exit__(self, *_):
        os.unlink(self.path)


def seconds(text):
    """Of "25ms"."""
    for unit, factor in (("ms", 1e-3), ("us", 1e-6), ("ns", 1e-9), ("s", 1)):
        if text.endswith(unit):
            return float(text[:-len(unit)]) * factor
    raise ValueError(f"expected something like 25ms, found {text}")


def show_seconds(value):
    for unit, factor in (("s", 1), ("ms", 1e-3), ("us", 1e-6)):
        if value >= 0.9995 * factor or unit == "us":
            return f"{value / factor:.3g} {unit}"
