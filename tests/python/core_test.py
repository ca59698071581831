"""sparccl without PyTorch: values, errors, lifetimes, and how the library is found."""

import array
import gc
import os
import pathlib
import subprocess
import sys
import tempfile
import threading
import unittest
import weakref

from sparccl import Communicator, DataType, Reduction, Result, SparcclError, Tensor


def alone(_slots, _bytes_per_rank):
    """One rank has nothing to fill."""


def floats(*values):
    return array.array("f", values)


def address(values):
    return values.buffer_info()[0]


def reduce(tensor, values, reduction=Reduction.sum):
    result = floats(*([7.0] * len(values)))
    tensor.all_reduce(address(values), address(result), reduction)
    return list(result)


class Threads:
    """all_gather among threads of this process."""

    def __init__(self, ranks):
        self.barrier = threading.Barrier(ranks)
        self.shown = [b""] * ranks

    def of(self, rank):
        def all_gather(slots, size):
            view = memoryview(slots).cast("B")
            self.shown[rank] = bytes(view[rank * size : (rank + 1) * size])
            self.barrier.wait(20)
            view[:] = b"".join(self.shown)
            self.barrier.wait(20)

        return all_gather


class Values(unittest.TestCase):
    def test_the_rest_waits_in_the_residual(self):
        tensor = Tensor(Communicator(0, 1, alone), "w", 4, DataType.float32, k=1, mu=0.0)
        self.assertEqual(reduce(tensor, floats(1, -9, 3, 2)), [0, -9, 0, 0])
        self.assertEqual(reduce(tensor, floats(0, 0, 0, 0)), [0, 0, 3, 0])
        tensor.set_density(1.0)
        tensor.set_mu(0.5)
        self.assertEqual(reduce(tensor, floats(0, 0, 0, 5)), [1, 0, 0, 7])

    def test_counts(self):
        tensor = Tensor(Communicator(0, 1, alone), "w", 4, DataType.float32, k=2)
        for _ in range(3):
            reduce(tensor, floats(1, 2, 3, 4))
        stats = tensor.stats()
        self.assertEqual((stats["steps"], stats["entries"], stats["wireBytes"]), (3, 6, 0))
        self.assertEqual(stats["residualBytes"], 16)
        self.assertGreater(stats["mergeSeconds"], 0)

    def test_two_ranks(self):
        threads, results = Threads(2), [None, None]

        def run(rank):
            tensor = Tensor(Communicator(rank, 2, threads.of(rank)), "w", 3, DataType.float32, k=1)
            results[rank] = reduce(tensor, floats(*[(0, 0, 8), (4, 0, 0)][rank]), Reduction.avg)
            results[rank].append(tensor.stats()["wireBytes"] == tensor.stats()["packetBytes"])

        workers = [threading.Thread(target=run, args=(rank,)) for rank in range(2)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        self.assertEqual(results, [[2, 0, 4, True]] * 2)

    def test_save_and_load(self):
        tensor = Tensor(Communicator(0, 1, alone), "w", 4, DataType.float32, k=1, mu=0.0)
        reduce(tensor, floats(1, -9, 3, 2))
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "w.state"
            tensor.save(path)
            other = Tensor(Communicator(0, 1, alone), "w", 4, DataType.float32, k=1, mu=0.0)
            other.load(path)
            self.assertEqual(reduce(other, floats(0, 0, 0, 0)), [0, 0, 3, 0])
            path.write_bytes(path.read_bytes()[:-1])
            with self.assertRaises(SparcclError) as caught:
                other.load(path)
        self.assertEqual(caught.exception.code, Result.bad_state)
        self.assertIn("expected", str(caught.exception))


class Errors(unittest.TestCase):
    def test_code_and_sentence(self):
        communicator = Communicator(0, 1, alone)
        with self.assertRaises(SparcclError) as caught:
            Tensor(communicator, "w", 4, DataType.float32, density=1.5)
        self.assertEqual(caught.exception.code, Result.invalid_argument)
        self.assertIn(
            "config.density: expected a number in (0, 1], found 1.5", str(caught.exception)
        )
        with self.assertRaises(SparcclError) as caught:
            Communicator(2, 2, alone)
        self.assertIn("transport.rank: expected 0 to 1, found 2", str(caught.exception))

    def test_what_all_gather_raises_is_the_cause(self):
        def lost(_slots, _size):
            raise ConnectionError("peer went away")

        tensor = Tensor(Communicator(0, 1, lost), "w", 4, DataType.float32)
        with self.assertRaises(SparcclError) as caught:
            reduce(tensor, floats(1, 2, 3, 4))
        self.assertEqual(caught.exception.code, Result.remote_error)
        self.assertIsInstance(caught.exception.__cause__, ConnectionError)
        self.assertIn("ConnectionError: peer went away", str(caught.exception))
        with self.assertRaisesRegex(SparcclError, "cannot be used after an earlier failure") as again:
            reduce(tensor, floats(1, 2, 3, 4))
        self.assertIsNone(again.exception.__cause__)

    def test_an_interrupt_stays_one(self):
        def interrupted(_slots, _size):
            raise KeyboardInterrupt

        tensor = Tensor(Communicator(0, 1, interrupted), "w", 4, DataType.float32)
        with self.assertRaises(KeyboardInterrupt):
            reduce(tensor, floats(1, 2, 3, 4))

    def test_aborted(self):
        communicator = Communicator(0, 1, alone)
        tensor = Tensor(communicator, "w", 4, DataType.float32)
        communicator.abort()
        with self.assertRaises(SparcclError) as caught:
            reduce(tensor, floats(1, 2, 3, 4))
        self.assertEqual(caught.exception.code, Result.aborted)


class Lifetimes(unittest.TestCase):
    def test_closed(self):
        communicator = Communicator(0, 1, alone)
        tensor = Tensor(communicator, "w", 4, DataType.float32)
        communicator.close()
        communicator.close()
        with self.assertRaisesRegex(SparcclError, "expected its communicator to be alive"):
            tensor.stats()
        tensor.close()
        with self.assertRaisesRegex(SparcclError, "found one that was destroyed"):
            tensor.stats()

    def test_a_tensor_keeps_its_communicator_and_nothing_more(self):
        communicator = Communicator(0, 1, alone)
        gone = weakref.ref(communicator)
        tensor = Tensor(communicator, "w", 4, DataType.float32)
        del communicator
        gc.collect()
        reduce(tensor, floats(1, 2, 3, 4))
        self.assertIsNotNone(gone())
        del tensor
        gc.collect()
        self.assertIsNone(gone())


class Finding(unittest.TestCase):
    def failure(self, library):
        code = "import sparccl; sparccl.Communicator(0, 1, print)"
        environment = dict(os.environ, SPARCCL_LIBRARY=library)
        done = subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
        )
        self.assertNotEqual(done.returncode, 0)
        return done.stderr.splitlines()[-1]

    def test_no_such_file(self):
        text = self.failure("/no/such/libsparccl.so")
        self.assertIn("ImportError", text)
        self.assertIn("SPARCCL_LIBRARY", text)
        self.assertIn("/no/such/libsparccl.so", text)

    def test_another_library(self):
        text = self.failure("libc.so.6")
        self.assertIn("ImportError: libc.so.6: expected libsparccl 0.1, found", text)

    def test_in_the_prefix_that_it_is_installed_in(self):
        library = pathlib.Path(os.environ["SPARCCL_LIBRARY"]).resolve()
        package = pathlib.Path(sys.modules["sparccl"].__file__).parent
        with tempfile.TemporaryDirectory() as folder:
            prefix = pathlib.Path(folder)
            (prefix / "lib" / "python").mkdir(parents=True)
            (prefix / "lib" / "libsparccl.so.0.1").symlink_to(library)
            (prefix / "lib" / "python" / "sparccl").mkdir()
            for file in package.glob("*.py"):
                (prefix / "lib" / "python" / "sparccl" / file.name).write_bytes(file.read_bytes())
            environment = dict(os.environ, PYTHONPATH=str(prefix / "lib" / "python"))
            del environment["SPARCCL_LIBRARY"]
            code = "import sparccl; sparccl.Communicator(0, 1, print); print(sparccl.__file__)"
            done = subprocess.run(
                [sys.executable, "-c", code], env=environment, capture_output=True, text=True,
                check=False,
            )  # fmt: skip
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn(str(prefix), done.stdout)


if __name__ == "__main__":
    unittest.main()
