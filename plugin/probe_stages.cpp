#include "probe_stages.hpp"

#include <cstdint>

#include "dense.hpp"
#include "wire.hpp"

namespace sparccl {
namespace {

/// Roughly normal, as gradients are; the same on every machine.
std::vector<float> synthetic(std::size_t count, int rank) {
  std::vector<float> values(count);
  std::uint64_t state = 0x9e3779b97f4a7c15u * (static_cast<std::uint64_t>(rank) + 1);
  for (float& value : values) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    float sum = 0;
    for (int shift = 0; shift < 64; shift += 16) {
      sum += static_cast<float>((state >> shift) & 0xffff) - 32767.5f;
    }
    value = sum / 65536;
  }
  return values;
}

/// A tensor with all that the stages of the allgather path need.
class ProbeTensor {
 public:
  ProbeTensor(Communicator::Impl& communicator, std::size_t count, std::size_t k, Stream stream)
      : backend_(communicator.backend()),
        transport_(communicator.transport()),
        plan_(make_plan("calibration", count, DataType::float32, {.k = k},
                        {transport_.rank(), transport_.size()})),
        packet_bytes_(wire::layout(plan_).bytes),
        gradient_(backend_.allocate(count * sizeof(float))),
        residual_(backend_.allocate(count * sizeof(float))),
        result_(backend_.allocate(count * sizeof(float))),
        sent_per_block_(backend_.allocate(plan_.blocks() * sizeof(std::uint32_t))),
        sent_offsets_(backend_.allocate(k * sizeof(std::uint16_t))),
        sent_ratios_(backend_.allocate(k * sizeof(float))),
        counters_(backend_.allocate(2 * sizeof(std::uint64_t))),
        totals_(backend_.allocate(sizeof(Report))),
        report_(backend_.allocate_shared(sizeof(Report))),
        workspace_(backend_.allocate(backend_.workspace_bytes(plan_))),
        slots_(backend_.allocate(ranks() * packet_bytes_)) {
    memory_.residual = residual_.get();
    memory_.sent_per_block = static_cast<std::uint32_t*>(sent_per_block_.get());
    memory_.sent_offsets = static_cast<std::uint16_t*>(sent_offsets_.get());
    memory_.sent_ratios = sent_ratios_.get();
    memory_.step = static_cast<std::uint64_t*>(counters_.get());
    memory_.call = memory_.step + 1;
    memory_.totals = static_cast<Report*>(totals_.get());
    memory_.report = static_cast<Report*>(report_.get());
    step_.gradient = gradient_.get();
    step_.stream = stream;
    output_.dense = result_.get();
    auto* const slots = static_cast<std::byte*>(slots_.get());
    for (std::size_t rank = 0; rank < ranks(); ++rank) {
      packets_.push_back(wire::view(plan_, slots + rank * packet_bytes_));
    }
    const std::vector<float> gradient = synthetic(count, plan_.rank);
    backend_.upload(gradient_.get(), gradient.data(), count * sizeof(float));
    std::vector<std::byte> identity(wire::identity_bytes());
    wire::write_identity(plan_, 0, identity.data());
    backend_.upload(slots + static_cast<std::size_t>(plan_.rank) * packet_bytes_, identity.data(),
                    identity.size());
  }
  ~ProbeTensor() {
    try {
      backend_.finish_all();  // after a failure: kernels may still use what is about to be freed
    } catch (...) {
    }
  }
  ProbeTensor(const ProbeTensor&) = delete;
  ProbeTensor& operator=(const ProbeTensor&) = delete;

  void prepare() {
    backend_.accumulate(plan_, step_, memory_, workspace_.get());
    backend_.select(plan_, step_, memory_, workspace_.get());
    backend_.pack(plan_, step_, memory_, workspace_.get(),
                  packets_[static_cast<std::size_t>(plan_.rank)]);
  }
  void exchange() {
    try {
      transport_.all_gather(slots_.get(), packet_bytes_, step_.stream);
    } catch (...) {
      if (transport_.keeps_buffers_after_failure()) static_cast<void>(slots_.release());
      throw;
    }
  }
  void finish() {
    backend_.check(plan_, step_, memory_, workspace_.get(), packets_);
    backend_.restore(plan_, step_, memory_, workspace_.get());
    backend_.merge(plan_, step_, memory_, workspace_.get(), packets_, output_);
  }

 private:
  [[nodiscard]] std::size_t ranks() const { return static_cast<std::size_t>(plan_.world_size); }

  Backend& backend_;
  Transport& transport_;
  Plan plan_;
  std::size_t packet_bytes_;
  Backend::Buffer gradient_, residual_, result_, sent_per_block_, sent_offsets_, sent_ratios_,
      counters_, totals_, report_, workspace_, slots_;
  Memory memory_;
  Step step_;
  Output output_;
  std::vector<Packet> packets_;
};

struct StepTimes {
  double count = 0;
  double k = 0;
  double prepare = 0;
  double finish = 0;
};

/// Medians of what the slowest rank took, after a first step, which finds no memory warm.
StepTimes time_steps(Communicator::Impl& communicator, ProbeClock& clock, std::size_t count,
                     std::size_t k, Stream stream) {
  ProbeTensor tensor(communicator, count, k, stream);
  std::vector<double> prepare, finish;
  double last = 0;
  for (int i = 0; i < 4 && (i < 2 || last < ProbeClock::slow); ++i) {
    prepare.push_back(clock.once([&] { tensor.prepare(); }));
    tensor.exchange();
    finish.push_back(clock.once([&] { tensor.finish(); }));
    last = prepare.back() + finish.back();
  }
  const auto median = [](std::vector<double> times) {
    times.erase(times.begin());
    std::nth_element(times.begin(), ProbeClock::middle(times), times.end());
    return *ProbeClock::middle(times);
  };
  return {static_cast<double>(count), static_cast<double>(k), median(prepare), median(finish)};
}

/// Seconds per byte that this rank adds up. A device's reductions hide behind their transfers.
double probe_reduction(Communicator::Impl& communicator, ProbeClock& clock) {
  if (communicator.asynchronous()) return 0;
  constexpr std::size_t count = std::size_t{1} << 17;
  std::vector<float> a(count, 1.0f), b(count, 2.0f), sum(count);
  const void* const sources[] = {a.data(), b.data()};
  const double seconds = clock.typical(
      [&] { reduce(sum.data(), sources, 2, count, DataType::float32, Reduction::sum); });
  return seconds / static_cast<double>(count * sizeof(float));
}

}  // namespace

StageCosts probe_stages(Communicator::Impl& communicator, ProbeClock& clock, Stream stream) {
  constexpr std::size_t first = std::size_t{1} << 12;
  constexpr std::size_t growth = 8;
  const bool device = communicator.asynchronous();
  const std::size_t last = first * growth * growth * growth * (device ? growth : 1);  // 2M, 16M
  std::vector<StepTimes> sparse;
  std::size_t count = first;
  for (;; count *= growth) {
    sparse.push_back(time_steps(communicator, clock, count, count / 1000, stream));
    if (count == last || sparse.back().prepare + sparse.back().finish > ProbeClock::slow / 4) break;
  }
  const StepTimes few = sparse.back();
  const StepTimes many = time_steps(communicator, clock, count, count / 16, stream);
  const double ranks = communicator.transport().size();
  StageCosts costs;
  costs.selected = std::max(0.0, many.prepare - few.prepare) / (many.k - few.k);
  costs.merged = std::max(0.0, many.finish - few.finish) / (ranks * (many.k - few.k));
  for (const StepTimes& times : sparse) {
    const double pass = times.prepare - costs.selected * times.k;
    const double result = times.finish - costs.merged * ranks * times.k;
    costs.pass.points.push_back({times.count, std::max(pass, 0.0)});
    costs.result.points.push_back({times.count, std::max(result, 0.0)});
  }
  costs.reduction = probe_reduction(communicator, clock);
  return costs;
}

}  // namespace sparccl
