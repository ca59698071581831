"""Programs that know nothing of the shim, run under it over stand-ins for NCCL and CUDA.

usage: shim_nccl_test.py --client PROGRAM --plugin LIBRARY --loader PROGRAM --static PROGRAM
                         --shim LIBRARY --fake FOLDER --scratch FOLDER [--before LIBRARY:]
"""

import json
import pathlib
import shutil
import sys
import unittest

from harness import ARGUMENTS, linked, loaded, parse, run, scratch

STEPS = 16
EVERY_CALL = {"SPARCCL_MATCH": "calls:0-3/7", "SPARCCL_DENSITY": "0.01"}
# Of AddressSanitizer, where there is one: what a shell leaks, and that the shim reads between variables.
UNCHECKED = {"ASAN_OPTIONS": "detect_leaks=0:intercept_memmem=0"}
KINDS = ["fewer than SPARCCL_MIN_COUNT entries", "a type that is not reduced sparsely",
         "an operation other than sum and average"]


class Unmodified(unittest.TestCase):
    def test_density_one_gives_the_bits_of_the_program_alone(self):
        for way in [linked, loaded]:
            alone = way("run", STEPS, preload=False)
            under = way("run", STEPS, variables={**EVERY_CALL, "SPARCCL_DENSITY": "1"})
            self.assertEqual(len(alone.results), 2, alone.text)
            self.assertEqual(alone.results, under.results, under.text)
            self.assertEqual(alone.others, under.others)
            self.assertEqual(under.row("sparsified")[0], 2 * 4 * STEPS)

    def test_sparse_results_are_the_same_on_every_rank(self):
        alone = linked("run", STEPS, preload=False)
        for way in [linked, loaded]:
            under = way("run", STEPS, variables=EVERY_CALL)
            self.assertEqual(len(set(under.results.values())), 1, under.text)
            self.assertNotEqual(alone.results, under.results)
            self.assertEqual(alone.others, under.others)
            # k is 30 of 3000, 20 of 2000, 25 of 2500, 15 of 1500; there are two ranks.
            for nonzeros in under.nonzeros:
                self.assertTrue(30 <= nonzeros <= 60, under.text)
            self.assertEqual(under.row("sparsified")[0], 2 * 4 * STEPS)

    def test_learns_the_step_by_itself(self):
        under = linked("run", STEPS)
        self.assertEqual(under.row("sparsified")[0], 2 * (4 * STEPS - 12), under.text)
        self.assertEqual(under.passed("learning which calls make a step"), 2 * 12)
        for reason in KINDS:
            self.assertEqual(under.passed(reason), 2 * STEPS)
        self.assertEqual(under.row("all")[0], 2 * 7 * STEPS)

    def test_bytes_are_those_of_the_packets(self):
        calls, sent, dense = linked("run", STEPS, variables=EVERY_CALL).row("sparsified")
        # Of a call: its description, then header, table of one block, offsets and values, which are a
        # whole number of 64 bytes.
        packet = lambda k, width: 144 + (128 + 4 + k * (2 + width) + 63 + 8) // 64 * 64
        expected = packet(30, 4) + packet(20, 2) + packet(25, 2) + packet(15, 8)
        self.assertEqual(sent, 2 * STEPS * expected)
        self.assertEqual(dense, 2 * STEPS * (3000 * 4 + 2000 * 2 + 2500 * 2 + 1500 * 8))

    def test_nothing_is_lost(self):
        alone = linked("drain", preload=False)
        under = linked("drain", variables={"SPARCCL_DENSITY": "0.1", "SPARCCL_MU": "0",
                                           "SPARCCL_MATCH": "calls:0/1"})
        self.assertEqual(len(alone.results), 2, alone.text)
        self.assertEqual(alone.results, under.results, under.text)
        self.assertEqual(under.row("sparsified")[0], 140)

    def test_what_is_left_alone_has_the_same_bits(self):
        alone = linked("kinds", STEPS, preload=False)
        under = linked("kinds", STEPS, variables={"SPARCCL_DENSITY": "0.01"})
        self.assertEqual(len(alone.others), 2, alone.text)
        self.assertEqual(alone.others, under.others, under.text)
        for reason in ["inside of a group", "the stream is being captured",
                       "the communicator has one rank"]:
            self.assertEqual(under.passed(reason), 2 * STEPS)
        self.assertEqual(under.row("all")[0], 6 * STEPS)

    def test_a_simulated_group_is_over_when_it_has_ended(self):
        alone = linked("simulates", STEPS, preload=False)
        under = linked("simulates", STEPS, variables={"SPARCCL_MATCH": "calls:1-4/8"})
        self.assertEqual(alone.others, under.others, under.text)
        self.assertEqual(under.passed("inside of a group"), 2 * STEPS)
        self.assertEqual(under.row("sparsified")[0], 2 * 4 * STEPS)

    def test_disabled_it_only_counts(self):
        alone = linked("run", 20, preload=False)
        under = linked("run", 20, variables={"SPARCCL_DISABLE": "1"})
        self.assertEqual(alone.results, under.results, under.text)
        self.assertEqual(under.passed("SPARCCL_DISABLE is set"), 2 * 7 * 20)

    def test_calls_keep_their_order_on_any_streams(self):
        variables = {**EVERY_CALL, "SPARCCL_MATCH": "calls:0-3/4"}
        runs = [linked("moves", 12, variables={**variables, "SPARCCL_SIMT_SEED": str(seed)})
                for seed in range(6)]
        for under in runs:
            self.assertEqual(len(under.results), 2, under.text)
            self.assertEqual(runs[0].results, under.results, under.text)
            self.assertEqual(len(set(under.results.values())), 1)

    def test_page_locked_memory_is_left_to_nccl(self):
        alone = linked("pinned", 5, preload=False)
        under = linked("pinned", 5, variables={**EVERY_CALL, "SPARCCL_MATCH": "count:1000-"})
        self.assertEqual(len(alone.others), 2, alone.text)
        self.assertEqual(alone.others, under.others, under.text)
        self.assertEqual(under.passed("not memory of the rank's device"), 2)


class Life(unittest.TestCase):
    def test_every_communicator_is_one_of_its_own(self):
        alone = linked("life", 8, preload=False)
        for reuse in [{}, {"FAKE_NCCL_REUSES_HANDLES": "1"}]:
            dense = linked("life", 8, variables={**EVERY_CALL, **reuse, "SPARCCL_DENSITY": "1"})
            self.assertEqual(len(alone.results), 2, alone.text)
            self.assertEqual(alone.results, dense.results, dense.text)
            folder = scratch("life")
            under = linked("life", 8, variables={**EVERY_CALL, **reuse,
                                                  "SPARCCL_STATE_DIR": str(folder)})
            self.assertEqual(under.row("sparsified")[0], 2 * 4 * 24, under.text)
            # The first was aborted: what it had is not what a next run goes on with.
            self.assertEqual(sorted(path.name for path in folder.iterdir()),
                             [f"communicator{c}.rank{r}.sparccl" for c in [1, 2] for r in [0, 1]])

    def test_a_handle_that_is_used_again_is_another_communicator(self):
        variables = {**EVERY_CALL, "FAKE_NCCL_REUSES_HANDLES": "1"}
        alone = linked("hidden", 20, variables=variables, preload=False)
        under = linked("hidden", 20, variables=variables)
        self.assertEqual(len(alone.others), 2, alone.text)
        self.assertEqual(alone.others, under.others, under.text)
        self.assertIn("communicator 3, allreduce 0", under.text)

    def test_communicators_that_are_not_destroyed_end_with_the_process(self):
        folder = scratch("exits")
        variables = {**EVERY_CALL, "SPARCCL_STATE_DIR": str(folder)}
        under = linked("exits", 20, variables={**variables, "RANK": "5"})
        self.assertEqual(under.row("sparsified")[0], 2 * 4 * 20, under.text)
        self.assertEqual(under.code, 0)
        self.assertEqual(sorted(path.name for path in folder.iterdir()),
                         [f"process5.communicator0.rank{r}.sparccl" for r in [0, 1]])
        destroyed = linked("run", 20, variables=EVERY_CALL)
        self.assertEqual(destroyed.results, under.results)

    def test_a_rank_that_stops_is_an_error_of_the_others(self):
        folder = scratch("stops")
        under = linked("stops", 10, variables={**EVERY_CALL, "SPARCCL_TIMEOUT_MS": "500",
                                               "SPARCCL_STATE_DIR": str(folder)})
        remote = "remote process exited or there was a network error"
        self.assertIn(f"call: {remote}; watchdog: {remote}", under.out, under.text)
        self.assertIn(f"again: {remote}", under.out)
        self.assertIn("count: no error", under.out)  # NCCL asks itself, and has not failed
        self.assertIn("finalize: no error", under.out)
        self.assertIn("WARN rank 0 of 2: ", under.words)
        self.assertIn("rank 0 waited 500 ms", under.words)
        self.assertEqual(list(folder.iterdir()), [])


    def test_an_error_of_one_rank_ends_the_others_calls_too(self):
        folder = scratch("wrong")
        under = linked("wrong", 5, variables={**EVERY_CALL, "SPARCCL_STATE_DIR": str(folder)})
        self.assertIn("call: invalid argument", under.out, under.text)
        self.assertIn("send buffer: expected an address that is a multiple of 4", under.words)
        self.assertEqual([path.name for path in folder.iterdir()], ["communicator0.rank1.sparccl"])

    def test_what_fails_when_nobody_looks_any_more_is_not_saved(self):
        folder = scratch("short")
        under = linked("short", 5, variables={**EVERY_CALL, "SPARCCL_STATE_DIR": str(folder),
                                              "SPARCCL_TIMEOUT_MS": "500"})
        self.assertEqual([path.name for path in folder.iterdir()], ["communicator0.rank1.sparccl"],
                         under.text)

    def test_every_rank_has_to_come_for_the_first_call(self):
        """Whatever it is, and also where the shim is disabled: the others may have it enabled."""
        for disable in ["0", "1"]:
            under = linked("lonely", variables={"SPARCCL_TIMEOUT_MS": "300", "SPARCCL_DISABLE": disable})
            self.assertEqual(under.out.count("call: remote process exited"), 2, under.text)
            self.assertIn("rank 0 waited 300 ms for all 2 ranks to make their first call", under.words)
            self.assertIn("is LD_PRELOAD set on every host?", under.words)


class Mistakes(unittest.TestCase):
    def test_a_value_of_another_form_ends_the_process_at_load(self):
        under = linked("run", 1, variables={"SPARCCL_DENSITY": "2"})
        self.assertEqual(under.code, 2)
        self.assertEqual(under.words, 'libsparccl-nccl: SPARCCL_DENSITY: expected a number in (0, 1], '
                                      'found "2"\n')

    def test_another_nccl_than_the_programs_is_refused(self):
        other = pathlib.Path(ARGUMENTS.fake, "libnccl.so.2").resolve()
        copy = scratch("other") / "libnccl.so.2"
        shutil.copy(other, copy)
        under = linked("run", 5, variables={**EVERY_CALL, "SPARCCL_NCCL_LIBRARY": str(copy)})
        self.assertIn("NCCL: expected that of the program", under.words, under.text)
        self.assertIn(f"found {copy}", under.words)
        self.assertIn("rank 0 failed: invalid usage", under.out)

    def test_a_damaged_state(self):
        folder = scratch("world")
        (folder / "communicator0.rank0.sparccl").write_text("something else")
        under = linked("run", 5, variables={**EVERY_CALL, "SPARCCL_STATE_DIR": str(folder)})
        for rank in [0, 1]:
            self.assertIn(f"rank {rank} failed: invalid usage", under.out, under.text)
            self.assertIn(f"WARN rank {rank} of 2: rank 0: state file", under.words)


class Silence(unittest.TestCase):
    def test_what_has_no_nccl_is_left_alone(self):
        under = run(["/bin/sh", "-c", "/bin/true"], variables=UNCHECKED)
        self.assertEqual((under.code, under.out, under.words), (0, "", ""))
        under = run([ARGUMENTS.loader, "/no/such/library"], variables=UNCHECKED)
        self.assertEqual(under.words, "")

    def test_calls_that_cannot_be_seen_are_told(self):
        under = run([ARGUMENTS.static], variables=UNCHECKED)
        self.assertEqual(under.out, "done\n")
        self.assertEqual(under.words.count("the program itself has NCCL linked statically"), 2)

    def test_communicators_without_a_call_are_told(self):
        under = linked("idle")
        self.assertIn("ncclAllReduce was never called", under.words)
        self.assertEqual(under.words.count("\n"), 1, under.text)

    def test_nccl_without_a_call_is_told(self):
        self.assertEqual(linked("nothing").words.count("libnccl.so.2 is loaded, but no call"), 1)


class State(unittest.TestCase):
    def test_a_resumed_run_goes_on_with_the_same_bits(self):
        once, twice = scratch("once"), scratch("twice")
        variables = lambda folder: {**EVERY_CALL, "SPARCCL_STATE_DIR": str(folder)}
        fresh = linked("run", 20, variables=variables(once))
        shutil.copytree(once, twice, dirs_exist_ok=True)
        first, second = (linked("run", 20, variables=variables(each)) for each in [once, twice])
        self.assertEqual(len(first.results), 2, first.text)
        self.assertEqual(first.results, second.results)
        self.assertNotEqual(first.results, fresh.results)

    def test_a_run_in_two_parts_gives_the_bits_of_one(self):
        folder = scratch("parts")
        whole = linked("parts", STEPS, variables=EVERY_CALL)
        first = linked("first", STEPS, variables={**EVERY_CALL, "SPARCCL_STATE_DIR": str(folder)})
        second = linked("second", STEPS, variables={**EVERY_CALL, "SPARCCL_STATE_DIR": str(folder)})
        self.assertEqual(len(whole.results), 2, whole.text)
        self.assertEqual(whole.results, second.results, first.text + second.text)

    def test_a_signal_prints_the_table_of_a_program_that_runs(self):
        under = linked("signals", STEPS, variables=EVERY_CALL)
        self.assertEqual(under.words.count("bytes if dense"), 2, under.text)


class Pictures(unittest.TestCase):
    def test_the_timeline_has_every_stage_of_every_call(self):
        for mode in ["run", "exits"]:
            folder = scratch("timeline")
            under = linked(mode, 20, variables={**EVERY_CALL, "SPARCCL_TIMELINE": f"{folder}/%r.json"})
            for rank in range(2):
                events = json.loads((folder / f"{rank}.json").read_text())
                names = [event["name"] for event in events]
                self.assertEqual(names.count("allreduce 0 of 7"), 20, under.text)
                for stage in ["accumulate", "select", "pack", "exchange", "merge"]:
                    self.assertEqual(names.count(stage), 4 * 20)

    def test_the_trace_says_of_each_call_why(self):
        under = linked("run", 20, variables={**EVERY_CALL, "SPARCCL_DEBUG": "TRACE"})
        self.assertEqual(under.words.count("is sparsified"), 2 * 4 * 20)
        for reason in KINDS:
            self.assertEqual(under.words.count(f"entries passes: {reason}"), 40)


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0]] + parse(sys.argv[1:]), verbosity=2)
