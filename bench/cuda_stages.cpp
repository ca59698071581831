// Each repeat on the stream: data made, a copy, accumulate, select, pack, a memset, check, merge.
// The host only enqueues; what it waits for is the end.
#include "cuda_stages.hpp"

#include "cuda_data.hpp"
#include "cuda_tools.hpp"
#include "plan.hpp"

namespace sparccl::bench {
namespace {

constexpr std::uint64_t own_rank = 0;
constexpr std::size_t warm_up = 5;
constexpr float spike = 20;

/// Fewer than k entries differ from 0.
double share_of_zero_data(const Plan& plan) {
  return 0.5 * static_cast<double>(plan.k) / static_cast<double>(plan.count);
}

void fill_gradient(const std::string& data, float* to, const Plan& plan, std::uint64_t rank,
                   std::uint64_t step, cudaStream_t stream) {
  if (data == "gaussian") {
    fill_normal(to, plan.count, 2 * step + 100'000 * rank, stream);
  } else if (data == "equal") {
    fill_constant(to, plan.count, 1.0f, stream);
  } else if (data == "zero") {
    fill_sparse(to, plan.count, 2 * step + 100'000 * rank, share_of_zero_data(plan), stream);
  } else {
    fill_training(to, plan.count, rank, step, 1, stream);
  }
}

/// Residual and gradient of the next step.
class Data {
 public:
  Data(std::string kind, Tensor& tensor, float* gradient, cudaStream_t stream)
      : kind_(std::move(kind)), tensor_(tensor), gradient_(gradient), stream_(stream) {}

  /// Once steps of error feedback have made the residual what it is in training.
  void keep_residual() {
    if (kind_ != "spike") return;
    const std::size_t bytes = tensor_.plan().count * sizeof(float);
    kept_ = std::make_unique<DeviceFloats>(tensor_.plan().count);
    cuda::check(cudaMemcpyAsync(kept_->get(), tensor_.residual(), bytes, cudaMemcpyDeviceToDevice,
                                stream_));
  }

  void next() {
    const Plan& plan = tensor_.plan();
    const std::size_t bytes = plan.count * sizeof(float);
    ++step_;
    if (kept_ != nullptr) {
      cuda::check(cudaMemcpyAsync(tensor_.residual(), kept_->get(), bytes, cudaMemcpyDeviceToDevice,
                                  stream_));
      fill_training(gradient_, plan.count, own_rank, step_, spike, stream_);
      return;
    }
    fill_gradient(kind_, gradient_, plan, own_rank, step_, stream_);
    if (kind_ == "gaussian") fill_normal(tensor_.residual(), plan.count, 2 * step_ + 1, stream_);
    if (kind_ == "equal" || kind_ == "zero") {
      cuda::check(cudaMemsetAsync(tensor_.residual(), 0, bytes, stream_));
    }
  }

 private:
  std::string kind_;
  Tensor& tensor_;
  float* gradient_;
  cudaStream_t stream_;
  std::uint64_t step_ = 0;
  std::unique_ptr<DeviceFloats> kept_;
};

std::vector<double> ratios(const std::vector<double>& over, const std::vector<double>& under,
                           double factor) {
  std::vector<double> all;
  for (std::size_t i = 0; i < over.size(); ++i) all.push_back(over[i] / (factor * under[i]));
  return all;
}

}  // namespace

Peers::Peers(Tensor& tensor, const std::string& data, cudaStream_t stream) : tensor_(tensor) {
  const Plan& plan = tensor.plan();
  const DeviceFloats gradient(plan.count);
  std::vector<std::uint64_t*> steps;
  for (int rank = 1; rank < plan.world_size; ++rank) {
    cuda::check(cudaMemsetAsync(tensor.residual(), 0, gradient.bytes(), stream));
    fill_gradient(data, gradient.get(), plan, static_cast<std::uint64_t>(rank), 0, stream);
    tensor.accumulate(gradient.get(), stream);
    tensor.select();
    tensor.pack(rank);
    steps.push_back(tensor.packets()[static_cast<std::size_t>(rank)].call);
  }
  cuda::check(cudaMemsetAsync(tensor.residual(), 0, gradient.bytes(), stream));
  cuda::check(cudaMalloc(&steps_, (steps.size() + 1) * sizeof(steps[0])));
  cuda::check(
      cudaMemcpy(steps_, steps.data(), steps.size() * sizeof(steps[0]), cudaMemcpyHostToDevice));
  cuda::check(cudaStreamSynchronize(stream));
}

Peers::~Peers() { static_cast<void>(cudaFree(steps_)); }

void Peers::renew(cudaStream_t stream) const {
  const auto peers = static_cast<unsigned>(tensor_.packets().size() - 1);
  if (peers == 0) return;
  spread_step(tensor_.packets()[0].call, static_cast<std::uint64_t**>(steps_), peers, stream);
}

StageRow measure_stages(Backend& backend, const Settings& settings, const std::string& data,
                        double density, cudaStream_t stream) {
  const Plan plan = make_plan("bench", settings.count, DataType::float32,
                              {.density = density, .mu = settings.mu}, {0, settings.world_size});
  Tensor tensor(backend, plan);
  const Peers peers(tensor, data, stream);
  const DeviceFloats gradient(plan.count), result(plan.count);
  Data next(data, tensor, gradient.get(), stream);

  const bool feedback = data == "feedback" || data == "spike";
  for (int i = 0; i < (feedback ? settings.feedback_steps : 0); ++i) {
    next.next();
    tensor.accumulate(gradient.get(), stream);
    tensor.select();
    tensor.pack();
    peers.renew(stream);
    tensor.check();
    tensor.merge(result.get());
  }
  next.keep_residual();
  tensor.require_sum();

  const std::uint64_t fallbacks_before = tensor.report().fallbacks;
  const std::size_t repeats = warm_up + static_cast<std::size_t>(settings.repeats);
  Marks marks(stream);
  for (std::size_t i = 0; i < repeats; ++i) {
    next.next();
    marks.mark();  // 0
    cuda::check(cudaMemcpyAsync(result.get(), gradient.get(), result.bytes(),
                                cudaMemcpyDeviceToDevice, stream));
    marks.mark();  // 1
    tensor.accumulate(gradient.get(), stream);
    marks.mark();  // 2
    tensor.select();
    marks.mark();  // 3
    tensor.pack();
    marks.mark();  // 4
    peers.renew(stream);
    marks.mark();  // 5
    cuda::check(cudaMemsetAsync(result.get(), 0, result.bytes(), stream));
    marks.mark();  // 6
    tensor.check();
    tensor.restore();
    marks.mark();  // 7
    tensor.merge(result.get());
    marks.mark();  // 8
    // So that the host is never thousands of launches ahead.
    if (i % 16 == 15) cuda::check(cudaStreamSynchronize(stream));
  }
  tensor.require_sum();

  const auto times = [&](std::size_t from, std::size_t to) {
    return marks.between(from, to, 9, warm_up);
  };
  StageRow row{.data = data, .density = density, .k = plan.k};
  row.copy_ms = median(times(0, 1));
  row.accumulate_ms = median(times(1, 2));
  row.select_ms = median(times(2, 3));
  row.pack_ms = median(times(3, 4));
  row.produce_ms = median(times(1, 4));
  row.memset_ms = median(times(5, 6));
  row.check_ms = median(times(6, 7));
  row.merge_ms = median(times(7, 8));
  // The copy moves 8 bytes an entry, the floor is 12.
  row.produce_to_floor = median(ratios(times(1, 4), times(0, 1), 1.5));
  row.merge_to_memset = median(ratios(times(7, 8), times(5, 6), 1));
  row.candidates_per_k =
      static_cast<double>(tensor.report().last_candidates) / static_cast<double>(plan.k);
  row.fallbacks = tensor.report().fallbacks - fallbacks_before;
  row.extra_bytes = tensor.extra_bytes_per_entry();
  return row;
}

}  // namespace sparccl::bench
