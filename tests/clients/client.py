"""Runs a program under mpirun, plain or with the shim preloaded, and reads the shim's table."""
import os
import re
import signal
import subprocess

LINE = re.compile(r"^ {2}(\S.*?) +([\d,]+) +([\d,]+) +([\d,]+)$", re.MULTILINE)
TENSOR = re.compile(r"^ {2}communicator \d+, .*: (\d+) \w+ \w+, k ([\d,]+), ([\d,]+) calls$", re.MULTILINE)


class Failure(Exception):
    pass


def numbers_in(words):
    return tuple(int(word.replace(",", "")) for word in words)


class Result:
    """rows: what the table's line says of each kind of call: (calls, bytes sent, bytes if dense).
    tensors: what it says of each of them: (entries, k, calls).
    """

    def __init__(self, output):
        self.output = output
        self.rows = {what: numbers_in(words) for what, *words in LINE.findall(output)}
        self.tensors = [numbers_in(words) for words in TENSOR.findall(output)]

    def calls(self, what):
        return self.rows.get(what, (0, 0, 0))[0]


def run(mpirun, program, preload=None, policy=None, directory=None, seconds=90):
    """mpirun: up to the number of ranks. policy: {"DENSITY": "1"} for SPARCCL_DENSITY=1.

    Throws Failure with all that was printed if the program fails, hangs, or prints no table
    although the shim was preloaded. Variables SPARCCL_* of this process do not reach the program.
    """
    settings = {f"SPARCCL_{name}": value for name, value in (policy or {}).items()}
    if preload:
        settings["LD_PRELOAD"] = preload
    command = [*mpirun, "env", *(f"{name}={value}" for name, value in settings.items()), *program]
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("SPARCCL_")}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                               stdin=subprocess.DEVNULL, cwd=directory, env=inherited, errors="replace")
    try:
        output, _ = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        # Asked nicely first: mpirun then ends its ranks, who are in no group of ours.
        process.send_signal(signal.SIGTERM)
        try:
            output, _ = process.communicate(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            output, _ = process.communicate()
        raise Failure(f"{output}\n{command} did not end within {seconds} s") from None
    if process.returncode != 0:
        raise Failure(f"{output}\n{command} exited with {process.returncode}")
    result = Result(output)
    if preload and result.calls("all") == 0:
        raise Failure(f"{output}\n{command}: expected the shim's table, found none")
    return result
