"""Asks sparccl_plan: the cost model itself is C++ (plugin/cost_model), and there is no second one here."""
import contextlib
import json
import os
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))

from files import why_not_written  # noqa: E402


def refuse(text):
    """Exit code 2, which is not that of predictions that are off."""
    print(f"{os.path.basename(sys.argv[0])}: {text}", file=sys.stderr)
    sys.exit(2)


@contextlib.contextmanager
def reading(path, what):
    """Says in a line what is wrong with a file. what: it should be."""
    try:
        yield
    except OSError as error:
        refuse(f"{path}: {error.strerror}")
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        why = f"no {error}" if isinstance(error, KeyError) else error
        refuse(f"{path}: expected {what}, found {why}")


def require_writable(flag, path):
    why = why_not_written(path)
    if why:
        refuse(f"{flag}: cannot write {path}: {why}")


class Plan:
    def __init__(self, program):
        self.program = program

    def ask(self, *arguments):
        command = [self.program, "--json", *map(str, arguments)]
        try:
            done = subprocess.run(command, capture_output=True, text=True)
        except OSError as error:
            refuse(f"{self.program}: {error.strerror}; build it (cmake --build --preset host "
                   "--target sparccl_plan) or name it with --plan")
        if done.returncode != 0:
            refuse(done.stderr.strip() or f"{' '.join(command)} ended with {done.returncode}")
        try:
            return json.loads(done.stdout)
        except ValueError:
            refuse(f"{self.program}: expected JSON of sparccl_plan, found '{done.stdout[:40]}'; name it with --plan")

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
