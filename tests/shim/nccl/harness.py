"""How the tests run a program under the shim, and what they read of its output."""

import argparse
import os
import pathlib
import re
import shutil
import subprocess

ARGUMENTS = argparse.Namespace()
LAUNCHERS = ["RANK", "OMPI_COMM_WORLD_RANK", "PMI_RANK", "PMIX_RANK", "SLURM_PROCID"]


class Outcome:
    def __init__(self, process):
        self.code = process.returncode
        self.out = process.stdout
        self.words = process.stderr
        self.text = f"exit code {self.code}\n{self.out}{self.words}"
        found = re.findall(r"rank (\d): results (\w+) others (\w+) nonzeros (\d+)", self.out)
        self.results = {rank: results for rank, results, _, _ in found}
        self.others = {rank: others for rank, _, others, _ in found}
        self.nonzeros = [int(nonzeros) for _, _, _, nonzeros in found]

    def row(self, name):
        """Calls, bytes sent and bytes if dense, of a row of the table."""
        found = re.search(r"^  " + re.escape(name) + r" +([\d,]+) +([\d,]+) +([\d,]+)$", self.words,
                          re.MULTILINE)
        if found is None:
            raise AssertionError(f"no row '{name}' in:\n{self.text}")
        return [int(number.replace(",", "")) for number in found.groups()]

    def passed(self, name):
        return self.row("passed: " + name)[0]


def run(command, variables=None, preload=True, timeout=100):
    clean = {name: value for name, value in os.environ.items()
             if not name.startswith("SPARCCL_") and name not in LAUNCHERS}
    clean.update({"LD_LIBRARY_PATH": ARGUMENTS.fake}, **(variables or {}))
    if preload:
        clean["LD_PRELOAD"] = ARGUMENTS.before + ARGUMENTS.shim
    command = [str(word) for word in command]
    return Outcome(subprocess.run(command, env=clean, capture_output=True, text=True, timeout=timeout))


def linked(*arguments, **options):
    return run([ARGUMENTS.client, *arguments], **options)


def loaded(*arguments, **options):
    """As Python does, for the library alone."""
    return run([ARGUMENTS.loader, ARGUMENTS.plugin, *arguments], **options)


def scratch(name):
    folder = pathlib.Path(ARGUMENTS.scratch) / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def parse(words):
    """Takes what is meant for here, and gives the rest back."""
    parser = argparse.ArgumentParser()
    for name in ["--client", "--plugin", "--loader", "--static", "--shim", "--fake", "--scratch"]:
        parser.add_argument(name, required=True)
    parser.add_argument("--before", default="")
    return parser.parse_known_args(words, namespace=ARGUMENTS)[1]
