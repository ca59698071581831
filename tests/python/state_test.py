"""What fits the hook, and what a checkpoint of it holds. Under torchrun, on 2 ranks."""

import copy
import types

import torch
import torch.distributed as dist

from ranks import Given, Net, TestCase, backward, batch, descend, gradients, main, make, with_hook
from sparccl import SparcclError
from sparccl._parameters import Parameters
from sparccl.torch_hook import SparcclState


class Checkpoint(TestCase):
    def test_a_run_that_is_resumed_gives_the_same_bits(self):
        model = make()
        state = with_hook(model, density=0.02, start_iteration=1)
        for step in range(4):
            backward(model, batch(step))
            descend(model)
        state.set_density(0.01)
        weights = copy.deepcopy(model.module.state_dict())
        saved = copy.deepcopy(state.state_dict())

        again = make(seed=99)
        again.module.load_state_dict(weights)
        resumed = with_hook(again, density=0.02, start_iteration=1)
        resumed.load_state_dict(saved)
        self.assertEqual(resumed.density, 0.01)
        for step in range(4, 8):
            for each in (model, again):
                backward(each, batch(step))
                descend(each)
            self.assert_same_bits(gradients(again), gradients(model))
        self.assertEqual(resumed.iteration, 8)
        self.assertEqual(resumed.wire_bytes, state.wire_bytes)
        self.assertEqual(resumed.dense_bytes, state.dense_bytes)
        self.assertEqual(resumed.stats()["steps"], 4)

    def test_the_residual_matters(self):
        # The test above would not see a residual that is forgotten if it did not.
        model, forgetful = make(lambda: Given(4)), make(lambda: Given(4))
        x = torch.tensor([8.0, 0, 0, 2])
        for each in (model, forgetful):
            with_hook(each, density=0.25)
        backward(model, x)
        for each in (model, forgetful):
            backward(each, torch.zeros(4))
        self.assertEqual(model.module.w.grad.tolist(), [0, 0, 0, 2])
        self.assertEqual(forgetful.module.w.grad.tolist(), [0, 0, 0, 0])

    def refused(self, change, pattern, error=ValueError):
        model = make()
        state = with_hook(model, density=0.02)
        backward(model, batch(0))
        saved = copy.deepcopy(state.state_dict())
        change(saved)
        before = state.state_dict()
        with self.assertRaisesRegex(error, pattern):
            state.load_state_dict(saved)
        after = state.state_dict()
        self.assert_same_bits(after.pop("tensor"), before.pop("tensor"))
        self.assertEqual(after, before)

    def test_of_another_world_or_rank(self):
        self.refused(lambda s: s.update(world_size=3), "world_size: expected 2, found 3")
        rank = dist.get_rank()
        self.refused(lambda s: s.update(rank=1 - rank), f"rank: expected {rank}, found {1 - rank}")
        self.refused(lambda s: s.clear(), "format: expected 1, found None")

    def test_of_another_model(self):
        self.refused(lambda s: s.update(dtype="torch.float64"),
                     "dtype: expected 'torch.float32', found 'torch.float64'")  # fmt: skip
        self.refused(lambda s: s["parameters"].pop(), "parameters: expected 6, found 5")
        self.refused(
            lambda s: s["parameters"].__setitem__(3, ("first.bias", [301], [1])),
            r"expected first.bias of shape \[300\] and stride \[1\], found first.bias of shape \[301\]",
        )

    def test_damaged(self):
        def damage(saved):
            saved["tensor"][-100] += 1

        self.refused(damage, "bad_state: .*checksum: expected", SparcclError)
        self.refused(
            lambda s: s.update(tensor=s["tensor"][:-1]), "bad_state: .*bytes: ", SparcclError
        )


class Refused(TestCase):
    def model(self, *modules):
        return torch.nn.Sequential(*modules)

    def test_types(self):
        mixed = self.model(torch.nn.Linear(2, 2), torch.nn.Linear(2, 2).double())
        with self.assertRaisesRegex(
            TypeError, "parameter 1.weight: expected torch.float32, as 0.weight has, found torch.float64"
        ):
            SparcclState(mixed)
        complex_ones = Given(3, torch.complex64)
        with self.assertRaisesRegex(
            TypeError, "parameter w: expected one of torch.float16, .*found torch.complex64"
        ):
            SparcclState(complex_ones)
        with self.assertRaisesRegex(TypeError, "wire: expected .*found torch.int32"):
            SparcclState(Net(), process_group=dist.group.WORLD, wire=torch.int32)

    def test_places(self):
        with self.assertRaisesRegex(TypeError, "parameter weight: expected it on the CPU, found meta"):
            SparcclState(torch.nn.Linear(2, 2, device="meta"))
        on_gpu = types.SimpleNamespace(device=torch.device("cuda:1"), dtype=torch.float32)
        with self.assertRaisesRegex(TypeError, "w: .*found it on cuda:1.*LD_PRELOAD"):
            Parameters._require(types.SimpleNamespace(dtype=torch.float32), "w", on_gpu)

    def test_sparse_gradients(self):
        with self.assertRaisesRegex(
            TypeError, "parameter 0.weight: expected dense gradients, found sparse=True in its Embedding"
        ):
            SparcclState(self.model(torch.nn.Embedding(4, 2, sparse=True)))

    def test_nothing_to_train(self):
        frozen = torch.nn.Linear(2, 2).requires_grad_(False)
        with self.assertRaisesRegex(ValueError, "expected parameters that require a gradient"):
            SparcclState(frozen)

    def test_what_does_not_require_a_gradient_is_left_out(self):
        net = Net()
        net.middle.requires_grad_(False)
        names = [name for name, _, _ in Parameters(net).signature()]
        self.assertEqual(names, ["last.weight", "last.bias", "first.weight", "first.bias"])

    def test_groups(self):
        alone = [dist.new_group([rank], backend="gloo") for rank in range(2)][dist.get_rank()]
        with self.assertRaisesRegex(ValueError, "expected the 2 ranks of DDP's, found 1"):
            SparcclState(make(), process_group=alone)
        self.assertEqual(SparcclState(Net(), process_group=alone).world_size, 1)

    def test_options(self):
        for options, pattern in (
            ({"density": 0.0}, "config.density: expected"),
            ({"mu": -1.0}, "config.mu: expected"),
            ({"wire": torch.float64}, "wire"),
        ):
            with self.assertRaisesRegex(SparcclError, pattern):
                SparcclState(Net(), **options)


if __name__ == "__main__":
    main()
