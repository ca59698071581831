"""What the hook computes and sends. Under torchrun, on 2 ranks."""

import torch
import torch.distributed as dist

from ranks import (
    Bucket, Given, Net, TestCase, backward, batch, descend, gradients, main, make, with_hook,
)  # fmt: skip
from sparccl import Communicator, DataType, Reduction, SparcclError, Tensor
from sparccl.torch_hook import SparcclState, _gather_over, sparccl_hook


def given(*rows, dtype=torch.float32):
    """Row r is rank r's."""
    return torch.tensor(rows[dist.get_rank()], dtype=dtype)


class Dense(TestCase):
    """Density 1 is DDP's own allreduce, to the bit."""

    def compare(self, dtype=torch.float32, accumulate=False, **options):
        plain, hooked = make(dtype=dtype, **options), make(dtype=dtype, **options)
        with_hook(hooked, density=1.0)
        for step in range(4):
            for model in (plain, hooked):
                model.zero_grad()
                if accumulate:
                    with model.no_sync():
                        model(batch(100 + step, dtype)).square().mean().backward()
                model(batch(step, dtype)).square().mean().backward()
            self.assert_same_bits(gradients(hooked), gradients(plain))
            descend(plain)
            descend(hooked)

    def test_float32(self):
        self.compare()

    def test_float64(self):
        self.compare(dtype=torch.float64)

    def test_gradients_that_are_views_of_buckets(self):
        self.compare(gradient_as_bucket_view=True)

    def test_accumulated_gradients(self):
        self.compare(accumulate=True)

    def test_the_first_iterations(self):
        plain, hooked = make(), make()
        state = with_hook(hooked, density=0.01, start_iteration=2)
        for step in range(3):
            backward(plain, batch(step))
            backward(hooked, batch(step))
            if step < 2:
                self.assert_same_bits(gradients(hooked), gradients(plain))
                self.assertEqual(state.wire_bytes, state.dense_bytes)
            else:
                self.assertFalse(torch.equal(gradients(hooked), gradients(plain)))
        self.assertEqual(state.stats()["steps"], 1)

    def test_16_bits(self):
        # Of bfloat16, Gloo cannot even send the parameters to begin with: so without DDP.
        for dtype in (torch.float16, torch.bfloat16):
            for options in ({}, {"start_iteration": 1}):
                model = Given(4, dtype)
                state = SparcclState(model, density=1.0, **options)
                gradient = given([1, 2, -3, 0.5], [3, 2, 1, 0.25], dtype=dtype)
                future = state.reduce(Bucket(0, True, (model.w, gradient)))
                self.assert_same_bits(
                    future.wait(), torch.tensor([2, 2, -1, 0.375], dtype=dtype)
                )


class Sparse(TestCase):
    def test_one_residual_over_all_parameters_in_the_models_order(self):
        # Against a tensor of the core, across DDP rearranging its buckets.
        model, alone = make(), Net()
        state = SparcclState(model, density=0.02)
        seen = []

        def hook(state, bucket):
            seen.append((bucket.index(), [tuple(p.shape) for p in bucket.parameters()]))
            return sparccl_hook(state, bucket)

        model.register_comm_hook(state, hook)
        count = sum(p.numel() for p in alone.parameters())
        ranks = Communicator(dist.get_rank(), 2, _gather_over(None, dist.get_rank(), 2))
        reference = Tensor(ranks, "reference", count, DataType.float32, density=0.02)
        for step in range(6):
            alone.load_state_dict(model.module.state_dict())
            backward(alone, batch(step))
            expected = gradients(alone).clone()
            reference.all_reduce(expected.data_ptr(), expected.data_ptr(), Reduction.avg)
            backward(model, batch(step))
            self.assert_same_bits(gradients(model), expected)
            self.assert_same_on_all_ranks(gradients(model))
            descend(model)
        iterations = [i for i, (index, _) in enumerate(seen) if index == 0]
        first, second = seen[: iterations[1]], seen[iterations[1] : iterations[2]]
        self.assertGreater(len(second), 1, "the test needs several buckets")
        self.assertNotEqual(first, second, "the test needs buckets that are rearranged")

    def test_bytes(self):
        model = make()
        state = with_hook(model, density=0.01, wire=torch.bfloat16)
        for step in range(3):
            backward(model, batch(step))
        count = sum(p.numel() for p in model.parameters())
        stats = state.stats()
        self.assertEqual(stats["entries"], 3 * round(0.01 * count))
        self.assertEqual(state.wire_bytes, 3 * stats["packetBytes"])
        self.assertEqual(state.dense_bytes, 3 * 4 * count)
        self.assertGreaterEqual(stats["packetBytes"], 4 * round(0.01 * count))
        self.assertLess(stats["packetBytes"], 4 * round(0.01 * count) + 400)

    def test_what_the_group_moves_is_what_is_claimed(self):
        model = make()
        state = with_hook(model, density=0.01)
        moved, real = [], dist.all_gather
        try:
            dist.all_gather = lambda rows, own, group: (
                moved.append(own.numel()), real(rows, own, group=group))  # fmt: skip
            backward(model, batch(0))
        finally:
            dist.all_gather = real
        self.assertEqual(moved, [144, state.wire_bytes])  # the agreement, and the packet

    def test_density_may_change(self):
        model = make(lambda: Given(4))
        state = with_hook(model, density=0.25, mu=0.0)
        backward(model, given([8, 0, 0, 2], [8, 0, 0, 4]))
        self.assertEqual(model.module.w.grad.tolist(), [8, 0, 0, 0])
        state.set_density(1.0)
        backward(model, given([0, 0, 0, 0], [0, 1, 0, 0]))
        self.assertEqual(model.module.w.grad.tolist(), [0, 0.5, 0, 3])

    def test_a_nan_is_seen_by_all_and_leaves_the_residual(self):
        model, undisturbed = make(lambda: Given(4)), make(lambda: Given(4))
        for each in (model, undisturbed):
            with_hook(each, density=0.25)
            backward(each, given([8, 1, 0, 2], [8, 3, 0, 4]))
        backward(model, given([1, 1, 1, 1], [1, 1, float("nan"), 1]))
        self.assertTrue(model.module.w.grad.isnan().all())
        for each in (model, undisturbed):
            backward(each, given([0, 0, 0, 0], [0, 0, 0, 0]))
        self.assertEqual(undisturbed.module.w.grad.tolist(), [0, 0, 0, 3])
        self.assert_same_bits(model.module.w.grad, undisturbed.module.w.grad)

    def test_parameters_that_a_rank_does_not_use(self):
        class Halves(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.a, self.b = Given(4), Given(4)

            def forward(self, x):
                return self.a(x) if dist.get_rank() == 0 else self.b(x)

        model = make(Halves, find_unused_parameters=True)
        with_hook(model, density=1.0)
        for _ in range(3):
            backward(model, given([2, 4, 6, 8], [1, 3, 5, 7]))
            expected = torch.tensor([1, 2, 3, 4, 0.5, 1.5, 2.5, 3.5])
            self.assert_same_bits(gradients(model), expected)

    def test_a_backward_pass_that_was_cut_off_is_forgotten(self):
        net = Net()
        parameters = list(net.parameters())
        state = SparcclState(net, density=1.0)

        def buckets(value):
            pairs = [(p, torch.full_like(p, value).detach()) for p in parameters]
            return Bucket(0, False, *pairs[3:]), Bucket(1, True, *pairs[:3])

        forgotten = state.reduce(buckets(7.0)[0])
        futures = [state.reduce(bucket) for bucket in buckets(2.0 * dist.get_rank())]
        for future in futures:
            self.assertTrue((future.wait() == 1).all())
        self.assertFalse(forgotten.done())
        self.assertEqual(state.iteration, 1)


class Failures(TestCase):
    def test_ranks_that_disagree_are_all_told(self):
        model = make()
        with_hook(model, density=0.01 + 0.01 * dist.get_rank())
        with self.assertRaisesRegex(RuntimeError, "the ranks disagree: rank 0 called .* k 186.*k 373"):
            backward(model, batch(0))

    def test_ranks_with_other_models_are_told(self):
        model = Given(4 + dist.get_rank())
        with self.assertRaisesRegex(SparcclError, "mismatch: .*the ranks disagree"):
            state = SparcclState(model)
            state.reduce(Bucket(0, True, *((p, p.detach()) for p in model.parameters())))

    def test_what_the_group_raises_is_told(self):
        model = make()
        with_hook(model, density=0.01)
        real = dist.all_gather
        try:
            def lost(*_, **__):
                raise RuntimeError("Connection closed by peer")

            dist.all_gather = lost
            with self.assertRaisesRegex(Exception, "remote_error: .*Connection closed by peer"):
                backward(model, batch(0))
        finally:
            dist.all_gather = real

    def test_a_parameter_of_no_model(self):
        model = make(lambda: Given(4))
        state = SparcclState(Given(4))
        model.register_comm_hook(state, sparccl_hook)
        with self.assertRaisesRegex(Exception, "expected parameters of the model that this"):
            backward(model, given([1, 1, 1, 1], [1, 1, 1, 1]))

    def test_a_parameter_in_no_bucket(self):
        model = make(lambda: Given(4))
        model.module.late = torch.nn.Parameter(torch.zeros(3))
        with_hook(model)
        with self.assertRaisesRegex(Exception, "expected every parameter in one, found none with late"):
            backward(model, given([1, 1, 1, 1], [1, 1, 1, 1]))


if __name__ == "__main__":
    main()
