// Whole calls of a small tensor, and what others do at the same size.
#include <algorithm>

#include "cuda_baseline.hpp"
#include "cuda_data.hpp"
#include "cuda_stages.hpp"
#include "cuda_tools.hpp"
#include "plan.hpp"

namespace sparccl::bench {
namespace {

/// A tensor of its own with all that a call touches. Many of them in turn do not stay in the L2
/// cache.
struct Call {
  Tensor tensor;
  Peers peers;
  DeviceFloats gradient, result;

  Call(Backend& backend, const Plan& plan, std::uint64_t seed, cudaStream_t stream)
      : tensor(backend, plan),
        peers(tensor, "gaussian", stream),
        gradient(plan.count),
        result(plan.count) {
    fill_normal(gradient.get(), plan.count, seed, stream);
  }

  /// All that a call does but its two exchanges; in place of the second, one small kernel.
  void run(cudaStream_t stream) {
    tensor.announce(stream);
    tensor.verify(stream);
    tensor.accumulate(gradient.get(), stream);
    tensor.select();
    tensor.pack();
    peers.renew(stream);
    tensor.check();
    tensor.restore();
    tensor.merge(result.get());
  }
};

}  // namespace

CallTimes measure_call(Backend& backend, const Settings& settings, std::size_t count,
                       cudaStream_t stream) {
  const Plan plan = make_plan("bench", count, DataType::float32,
                              {.density = 0.001, .mu = settings.mu}, {0, settings.world_size});
  constexpr std::size_t far_more_than_a_cache = std::size_t{512} << 20;
  const std::size_t tensors = std::clamp<std::size_t>(far_more_than_a_cache / (12 * count), 1, 64);
  std::vector<std::unique_ptr<Call>> calls;
  for (std::size_t i = 0; i < tensors; ++i) {
    calls.push_back(std::make_unique<Call>(backend, plan, i, stream));
  }
  const auto all = [&] {
    for (const auto& call : calls) call->run(stream);
  };
  all();
  cuda::check(cudaStreamSynchronize(stream));

  cudaGraph_t graph = nullptr;
  cudaGraphExec_t instance = nullptr;
  cuda::check(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
  all();
  cuda::check(cudaStreamEndCapture(stream, &graph));
  cuda::check(cudaGraphInstantiate(&instance, graph, 0));

  constexpr std::size_t warm_up = 2;
  const std::size_t repeats = warm_up + static_cast<std::size_t>(std::min(settings.repeats, 20));
  Marks marks(stream);
  for (std::size_t i = 0; i < repeats; ++i) {
    marks.mark();
    all();
    marks.mark();
    cuda::check(cudaGraphLaunch(instance, stream));
    marks.mark();
    cuda::check(cudaStreamSynchronize(stream));
  }
  for (const auto& call : calls) call->tensor.require_sum();
  cuda::check(cudaGraphExecDestroy(instance));
  cuda::check(cudaGraphDestroy(graph));
  const double each = 1e3 / static_cast<double>(tensors);
  return {each * median(marks.between(0, 1, 3, warm_up)),
          each * median(marks.between(1, 2, 3, warm_up))};
}

std::vector<BaselineTime> measure_baselines(const Settings& settings, double density,
                                            cudaStream_t stream) {
  const auto k = static_cast<std::size_t>(static_cast<double>(settings.count) * density);
  const DeviceFloats residual(settings.count), gradient(settings.count);
  fill_normal(gradient.get(), settings.count, 1, stream);
  constexpr std::size_t warm_up = 2;
  const std::size_t repeats = warm_up + static_cast<std::size_t>(std::min(settings.repeats, 20));
  std::vector<BaselineTime> times;
  for (const auto make : {make_cub_sort, make_cub_threshold, make_thrust_sort}) {
    const std::unique_ptr<CudaBaseline> baseline = make(settings.count, k);
    Marks marks(stream);
    for (std::size_t i = 0; i < repeats; ++i) {
      fill_normal(residual.get(), settings.count, 2 + i, stream);
      marks.mark();
      baseline->run(residual.get(), gradient.get(), stream);
      marks.mark();
    }
    cuda::check(cudaStreamSynchronize(stream));
    times.push_back({baseline->name(), median(marks.between(0, 1, 2, warm_up))});
  }
  for (const OtherBaseline& other : settings.others) times.push_back({other.name, other.ms});
  return times;
}

}  // namespace sparccl::bench
