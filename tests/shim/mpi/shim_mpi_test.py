"""A program that knows nothing of the shim, run under it by an MPI launcher.

usage: shim_mpi_test.py --client PROGRAM --shim LIBRARY --scratch FOLDER --family openmpi|mpich
                        [--before LIBRARY:] -- LAUNCHER [FLAGS]
"""

import argparse
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import unittest

ARGUMENTS = None
EVERY_CALL = {"SPARCCL_MATCH": "calls:0-1/3", "SPARCCL_DENSITY": "0.01"}


class Outcome:
    def __init__(self, process):
        self.code = process.returncode
        self.text = process.stdout + process.stderr
        self.hashes = dict(re.findall(r"rank (\d+): ([0-9a-f]{16})", process.stdout))
        self.last = dict(re.findall(r"rank (\d+) last: ([0-9a-f]{16})", process.stdout))
        self.errors = re.findall(r"returned after ([0-9.]+) s: (.*)", process.stdout)

    def row(self, name):
        """Calls, bytes sent and bytes if dense, of a row of the table."""
        found = re.search(r"^  " + re.escape(name) + r" +([\d,]+) +([\d,]+) +([\d,]+)$", self.text,
                          re.MULTILINE)
        if found is None:
            raise AssertionError(f"no row '{name}' in:\n{self.text}")
        return [int(number.replace(",", "")) for number in found.groups()]


def command(arguments, environments, preload=True):
    """One process a dictionary of variables, each under the shim unless preload says otherwise."""
    line = list(ARGUMENTS.launcher)
    for rank, variables in enumerate(environments):
        if rank:
            line.append(":")
        line += ["-n", "1"]
        loaded = preload if isinstance(preload, bool) else preload[rank]
        if loaded:
            variables = {**variables, "LD_PRELOAD": ARGUMENTS.before + ARGUMENTS.shim}
        for name, value in variables.items():
            line += ["-x", f"{name}={value}"] if ARGUMENTS.family == "openmpi" else [
                "-env", name, value]
        line += [ARGUMENTS.client] + [str(argument) for argument in arguments]
    return line


def run(arguments, environments, preload=True, timeout=60):
    clean = {name: value for name, value in os.environ.items()
             if not name.startswith("SPARCCL_")}
    return Outcome(subprocess.run(command(arguments, environments, preload), env=clean,
                                  capture_output=True, text=True, timeout=timeout))


def scratch(name):
    folder = pathlib.Path(ARGUMENTS.scratch) / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


class Unmodified(unittest.TestCase):
    def test_density_one_gives_the_bits_of_the_program_alone(self):
        alone = run(["run", 40], [{}] * 2, preload=False)
        under = run(["run", 40], [{**EVERY_CALL, "SPARCCL_DENSITY": "1"}] * 2)
        self.assertEqual(len(alone.hashes), 2, alone.text)
        self.assertEqual(alone.hashes, under.hashes, under.text)
        self.assertEqual(under.row("sparsified")[0], 80)

    def test_sparse_results_are_the_same_on_every_rank(self):
        under = run(["run", 40], [EVERY_CALL] * 3)
        self.assertEqual(len(under.hashes), 3, under.text)
        self.assertEqual(len(set(under.hashes.values())), 1)
        alone = run(["run", 40], [{}] * 3, preload=False)
        self.assertNotEqual(under.hashes, alone.hashes)

    def test_learns_the_step_by_itself(self):
        under = run(["run", 40], [{}] * 2)
        self.assertEqual(under.row("sparsified")[0], 2 * 40 - 12, under.text)
        self.assertEqual(under.row("passed: learning which calls make a step")[0], 12)
        self.assertEqual(under.row("passed: fewer than SPARCCL_MIN_COUNT entries")[0], 40)
        self.assertEqual(under.row("all")[0], 120)

    def test_buffers_that_never_come_back_are_asked_about(self):
        under = run(["moving", 80], [{}] * 2)
        self.assertEqual(under.row("sparsified")[0], 0, under.text)
        self.assertEqual(under.row("passed: learning which calls make a step")[0], 160)
        self.assertEqual(under.text.count("nothing is sparsified; say it: SPARCCL_MATCH"), 2)
        told = run(["moving", 80], [EVERY_CALL] * 2)
        self.assertEqual(told.row("sparsified")[0], 160, told.text)
        self.assertEqual(told.hashes, run(["run", 80], [EVERY_CALL] * 2).hashes)

    def test_no_order_of_calls_hangs(self):
        for match in ["calls:0/1", "auto"]:
            under = run(["orders", 40], [{"SPARCCL_DENSITY": "1", "SPARCCL_MATCH": match,
                                          "SPARCCL_TIMEOUT_MS": "10000"}] * 2)
            self.assertEqual(under.text.count("sums are exact"), 2, under.text)
            self.assertGreaterEqual(under.row("sparsified")[0], 56)

    def test_bytes_are_those_of_the_packets(self):
        under = run(["run", 40], [EVERY_CALL] * 2)
        calls, sent, dense = under.row("sparsified")
        # docs/design.md: a packet has a header, the table of one block, offsets and values, each
        # from a multiple of 8 on, and is a multiple of 64; before it goes the description of the call.
        up = lambda size, to: -(-size // to) * to
        packet = lambda width: up(up(128 + 4, 8) + up(50 * 2, 8) + 50 * width, 64)
        self.assertEqual(calls, 80)
        self.assertEqual(sent, 40 * (packet(4) + packet(8) + 2 * 144), under.text)
        self.assertEqual(dense, 40 * (5000 * 4 + 5000 * 8))

    def test_disabled_it_only_counts(self):
        alone = run(["run", 20], [{}] * 2, preload=False)
        under = run(["run", 20], [{"SPARCCL_DISABLE": "1"}] * 2)
        self.assertEqual(alone.hashes, under.hashes)
        self.assertEqual(under.row("passed: SPARCCL_DISABLE is set")[0], 60)
        self.assertIn("no call was sparsified", under.text)

    def test_buffers_may_begin_anywhere(self):
        aligned = run(["run", 20], [EVERY_CALL] * 2)
        unaligned = run(["unaligned", 20], [EVERY_CALL] * 2)
        self.assertEqual(len(aligned.hashes), 2, aligned.text)
        self.assertEqual(aligned.hashes, unaligned.hashes, unaligned.text)


class Mistakes(unittest.TestCase):
    def test_a_value_of_another_form_ends_the_process_at_load(self):
        under = run(["run", 1], [{"SPARCCL_DENSITY": "2"}] * 2)
        self.assertNotEqual(under.code, 0)
        self.assertIn('libsparccl-mpi: SPARCCL_DENSITY: expected a number in (0, 1], found "2"',
                      under.text)

    def test_a_variable_that_does_not_exist_is_named(self):
        under = run(["run", 1], [{"SPARCCL_DENSTIY": "0.1"}] * 2)
        self.assertIn("SPARCCL_DENSTIY is set, but there is no such variable", under.text)

    def test_other_environments_are_told_apart(self):
        for name, value in {"SPARCCL_DENSITY": "0.5", "SPARCCL_DISABLE": "1",
                            "SPARCCL_MIN_COUNT": "1000000"}.items():
            under = run(["returns", 5], [{}, {name: value}])
            self.assertEqual(len(under.errors), 2, under.text)
            for _, words in under.errors:
                self.assertIn(f'rank 1 has {name} = "{value}"', words)

    def test_errors_are_fatal_as_without_the_shim(self):
        under = run(["run", 5], [{}, {"SPARCCL_MU": "7"}])
        self.assertNotEqual(under.code, 0)
        self.assertIn('rank 1 has SPARCCL_MU = "7"', under.text)
        self.assertIn("sparccl: rank 0, which an error ends", under.text)
        self.assertEqual(under.hashes, {})

    def test_a_rank_without_the_shim_is_found_in_time(self):
        under = run(["run", 5], [{"SPARCCL_TIMEOUT_MS": "1000"}, {}], preload=[True, False])
        self.assertNotEqual(under.code, 0)
        self.assertIn("expected every rank to load this shim", under.text)

    def test_a_directory_that_cannot_be_written(self):
        folder = scratch("unwritable")
        good, bad = str(folder), "/proc/nowhere"
        under = run(["returns", 20], [{**EVERY_CALL, "SPARCCL_STATE_DIR": good},
                                      {**EVERY_CALL, "SPARCCL_STATE_DIR": bad}])
        self.assertEqual(len(under.errors), 2, under.text)
        for _, words in under.errors:
            self.assertIn("rank 1: SPARCCL_STATE_DIR: expected a directory that can be written, "
                          "found /proc/nowhere", words)

    def test_a_state_of_another_world(self):
        folder = scratch("world")
        variables = {**EVERY_CALL, "SPARCCL_STATE_DIR": str(folder)}
        self.assertEqual(len(run(["run", 20], [variables] * 2).hashes), 2)
        under = run(["returns", 20], [variables] * 3)
        self.assertEqual(len(under.errors), 3, under.text)
        for _, words in under.errors:
            self.assertIn("world size: expected 3, found 2", words)

    def test_a_rank_that_stops_calling_is_named_in_time(self):
        variables = {**EVERY_CALL, "SPARCCL_TIMEOUT_MS": "1500"}
        under = run(["stops", 20, 1], [variables] * 3, timeout=40)
        self.assertEqual(len(under.errors), 2, under.text)
        for seconds, words in under.errors:
            self.assertLess(float(seconds), 5)
            self.assertIn('tensor "allreduce 0 of 3": rank 1 did not arrive', words)

    def test_a_killed_rank_does_not_hang_the_others(self):
        variables = {**EVERY_CALL, "SPARCCL_TIMEOUT_MS": "1500"}
        under = run(["dies", 20, 1], [variables] * 3, timeout=40)  # or subprocess.TimeoutExpired
        self.assertNotEqual(under.code, 0)


class State(unittest.TestCase):
    def test_a_resumed_run_goes_on_with_the_same_bits(self):
        folder = scratch("parts")
        kept = {**EVERY_CALL, "SPARCCL_STATE_DIR": str(folder)}
        run(["run", 20, 0], [kept] * 2)
        self.assertEqual(len(list(folder.glob("*.sparccl"))), 2)
        resumed = run(["run", 20, 20], [kept] * 2)
        self.assertEqual(len(resumed.hashes), 2, resumed.text)
        fresh = run(["run", 20, 20], [EVERY_CALL] * 2)
        self.assertNotEqual(resumed.hashes, fresh.hashes)
        whole = run(["run", 40, 0], [EVERY_CALL] * 2)
        self.assertEqual(resumed.last, whole.last)  # the last step's results

    def test_what_was_learned_is_found_again(self):
        folder = scratch("learned")
        variables = {"SPARCCL_STATE_DIR": str(folder), "SPARCCL_DEBUG": "INFO"}
        run(["run", 40], [variables] * 2)
        again = run(["run", 40], [variables] * 2)
        self.assertIn("allreduce 0 of 2 goes on after 34 calls", again.text)

    def test_signals_print_the_table_and_save(self):
        folder = scratch("signals")
        under = run(["signals", 60], [{**EVERY_CALL, "SPARCCL_STATE_DIR": str(folder),
                                       "SPARCCL_DEBUG": "INFO"}] * 2)
        self.assertEqual(len(under.hashes), 2, under.text)
        self.assertEqual(under.text.count("bytes if dense"), 2)  # SIGUSR2, and the end
        self.assertEqual(under.text.count("state saved to"), 4)  # SIGUSR1, and the end


class Pictures(unittest.TestCase):
    def test_the_timeline_has_every_stage_of_every_call(self):
        folder = scratch("timeline")
        run(["run", 20], [{**EVERY_CALL, "SPARCCL_TIMELINE": f"{folder}/%r.json"}] * 2)
        for rank in range(2):
            events = json.loads((folder / f"{rank}.json").read_text())
            names = [event["name"] for event in events]
            for name in ["allreduce 0 of 3", "allreduce 1 of 3"]:
                self.assertEqual(names.count(name), 20)
            for stage in ["wait", "accumulate", "select", "pack", "exchange", "merge"]:
                self.assertEqual(names.count(stage), 40)
            self.assertEqual({event["pid"] for event in events}, {rank})

    def test_the_trace_says_of_each_call_why(self):
        folder = scratch("trace")
        run(["run", 20], [{**EVERY_CALL, "SPARCCL_DEBUG": "TRACE",
                           "SPARCCL_DEBUG_FILE": f"{folder}/%p"}] * 2)
        texts = [path.read_text() for path in folder.iterdir()]
        self.assertEqual(len(texts), 2)
        for text in texts:
            self.assertEqual(text.count("is sparsified"), 40)
            self.assertEqual(text.count("passes: fewer than SPARCCL_MIN_COUNT entries"), 20)


if __name__ == "__main__":
    own, launcher = sys.argv[1:], []
    if "--" in own:
        at = own.index("--")
        own, launcher = own[:at], own[at + 1:]
    parser = argparse.ArgumentParser()
    for name in ["--client", "--shim", "--scratch", "--family"]:
        parser.add_argument(name, required=True)
    parser.add_argument("--before", default="", help="what is preloaded before the shim, and a colon")
    ARGUMENTS, rest = parser.parse_known_args(own)
    ARGUMENTS.launcher = launcher
    unittest.main(argv=[sys.argv[0]] + rest, verbosity=2)
