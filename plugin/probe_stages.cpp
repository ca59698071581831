#include "probe_stages.hpp"

#include <algorithm>
#include <cstdint>
#include <limits>

#include "dense.hpp"
#include "paths/route.hpp"
#include "wire.hpp"

namespace sparccl {
namespace {

constexpr std::size_t chunk = 65'536;

/// Roughly normal, as gradients are; the same on every machine.
std::vector<float> synthetic(std::size_t count, int rank, std::uint64_t step) {
  std::vector<float> values(count);
  std::uint64_t state = 0x9e3779b97f4a7c15u * (static_cast<std::uint64_t>(rank) + 1 + (step << 32));
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
    output_.dense = gradient_.get();  // one buffer less to touch
    auto* const slots = static_cast<std::byte*>(slots_.get());
    for (std::size_t rank = 0; rank < ranks(); ++rank) {
      packets_.push_back(wire::view(plan_, slots + rank * packet_bytes_));
    }
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

  /// Before each step, whose result comes where the gradient was. Other numbers in each
  /// step; within one the same over and over, a little larger each time: hardly any two are equal.
  void fill_gradient() {
    std::vector<float> values = synthetic(std::min(chunk, plan_.count), plan_.rank, steps_++);
    for (std::size_t begin = 0; begin < plan_.count; begin += values.size()) {
      const std::size_t part = std::min(values.size(), plan_.count - begin);
      backend_.upload(static_cast<float*>(gradient_.get()) + begin, values.data(),
                      part * sizeof(float));
      for (float& value : values) value *= 1.0001f;
    }
  }
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
  /// Of the memory, for other routes than the allgather.
  [[nodiscard]] Memory& memory() noexcept { return memory_; }
  [[nodiscard]] const Plan& plan() const noexcept { return plan_; }
  [[nodiscard]] Run run() const noexcept { return {step_, output_}; }

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
  Backend::Buffer gradient_, residual_, sent_per_block_, sent_offsets_, sent_ratios_, counters_,
      totals_, report_, workspace_, slots_;
  Memory memory_;
  Step step_;
  Output output_;
  std::vector<Packet> packets_;
  std::uint64_t steps_ = 0;
};

struct StepTimes {
  double count = 0;
  double k = 0;
  double prepare = 0;
  double finish = 0;
  double skew = 0;  // what a whole step takes longer than its parts, before each of which all wait
};

/// Steps that are not measured: the first finds neither memory nor residual, and the second has to
/// find out how far the residual has moved the threshold.
constexpr int warmups = 3;

/// What the slowest rank took: the shortest of some steps.
StepTimes time_steps(Communicator::Impl& communicator, ProbeClock& clock, std::size_t count,
                     std::size_t k, Stream stream) {
  ProbeTensor tensor(communicator, count, k, stream);
  const auto step = [&] {
    tensor.prepare();
    tensor.exchange();
    tensor.finish();
  };
  for (int i = 0; i < warmups; ++i) {
    tensor.fill_gradient();
    step();
  }
  constexpr double unknown = std::numeric_limits<double>::infinity();
  StepTimes least{.prepare = unknown, .finish = unknown};
  double exchange = unknown;
  double whole = unknown;
  for (int i = 0; i < 4; ++i) {
    tensor.fill_gradient();
    least.prepare = std::min(least.prepare, clock.once([&] { tensor.prepare(); }));
    exchange = std::min(exchange, clock.once([&] { tensor.exchange(); }));
    least.finish = std::min(least.finish, clock.once([&] { tensor.finish(); }));
    tensor.fill_gradient();
    whole = std::min(whole, clock.once(step));
    if (i > 0 && whole > ProbeClock::slow) break;
  }
  least.count = static_cast<double>(count);
  least.k = static_cast<double>(k);
  least.skew = std::max(0.0, whole - least.prepare - exchange - least.finish);
  return least;
}

/// What the slowest rank's stages took on Path::split, in the same way.
double time_split(Communicator::Impl& communicator, ProbeClock& clock, std::size_t count,
                  std::size_t k, Stream stream) {
  static const std::string name = "calibration";
  ProbeTensor tensor(communicator, count, k, stream);
  Observer observer(communicator.backend());
  const RouteContext context{communicator, name, tensor.memory(), observer};
  const std::unique_ptr<Route> route = make_route(Path::split, context, tensor.plan(), Options{});
  route->install(tensor.memory());
  const Run run = tensor.run();
  double least = std::numeric_limits<double>::infinity();
  for (int i = 0; i < warmups + 2; ++i) {
    tensor.fill_gradient();
    double last = 0;
    for (int exchange = 0; exchange < route->exchanges(); ++exchange) {
      last += clock.once([&] { route->prepare(exchange, run); });
      try {
        route->exchange(exchange, run);
      } catch (...) {
        if (communicator.transport().keeps_buffers_after_failure()) route->keep_buffers();
        throw;
      }
    }
    last += clock.once([&] { route->finish(run); });
    if (i >= warmups) least = std::min(least, last);
  }
  communicator.backend().finish_all();
  return least;
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

/// Entries of the largest probe: the tensors of a node's ranks together, 8 bytes an entry, are to
/// be larger than most caches, and no larger: memory that is touched for the first time takes
/// longer than all that is measured.
std::size_t largest_count(const Communicator::Impl& communicator, int ranks_of_node) {
  constexpr std::size_t together = std::size_t{1} << 25;
  constexpr std::size_t least = std::size_t{1} << 18;
  if (communicator.asynchronous()) return together;
  return std::max(least, together / static_cast<std::size_t>(std::max(2, ranks_of_node)));
}

/// That a rank may send in a probe, which exchanges them several times: on a slow link few, where
/// what they cost besides does not matter; and among many ranks few, for memory.
std::size_t most_entries(int ranks, const Link& link) {
  constexpr double seconds = 20e-3;
  constexpr double bytes = 1 << 26;  // of the packets of all ranks
  constexpr double entry_bytes = 6;  // a float32 and its offset
  const double peers = std::max(1, ranks - 1);
  const double by_time = seconds / (peers * entry_bytes * std::max(link.per_byte(), 1e-15));
  return static_cast<std::size_t>(std::max(4.0, std::min(by_time, bytes / (ranks * entry_bytes))));
}

}  // namespace

StageCosts probe_stages(Communicator::Impl& communicator, ProbeClock& clock, int ranks_of_node,
                        const Link& link, Stream stream) {
  // What is slow already need not be made larger: a stand-in for a device, for one.
  const std::size_t last = static_cast<std::size_t>(
      clock.slowest(static_cast<double>(largest_count(communicator, ranks_of_node))));
  std::vector<std::size_t> counts;
  for (std::size_t count = 4096; count <= last / 16; count *= 16) counts.push_back(count);
  counts.push_back(last / 4);
  counts.push_back(last);
  const std::size_t most = most_entries(communicator.transport().size(), link);
  const auto time_few = [&](std::size_t count) {
    return time_steps(communicator, clock, count, std::min(count / 1000, most), stream);
  };
  std::vector<StepTimes> sparse;
  for (const std::size_t count : counts) {
    sparse.push_back(time_few(count));
    if (count <= last / 16 && sparse.back().prepare + sparse.back().finish > ProbeClock::slow)
      break;
  }
  // What an entry costs, in a tensor whose entries lie all over the memory, if that can be
  // afforded.
  StepTimes few = sparse.size() == counts.size() ? sparse[counts.size() - 2] : sparse.back();
  auto count = static_cast<std::size_t>(few.count);
  while (count > 4096 && count / 4 > most) count /= 4;
  if (static_cast<double>(count) < few.count) few = time_few(count);
  const double ranks = communicator.transport().size();
  StageCosts costs;
  const auto least_k = static_cast<std::size_t>(few.k) + 4;
  for (const std::size_t part : {16, 4}) {
    const std::size_t k = std::max(least_k, std::min(count / part, most));
    const double density = static_cast<double>(k) / static_cast<double>(count);
    if (!costs.selected.points.empty() && density <= costs.selected.points.back().size) continue;
    const StepTimes many = time_steps(communicator, clock, count, k, stream);
    const double more = many.k - few.k;
    costs.selected.points.push_back({density, std::max(0.0, many.prepare - few.prepare) / more});
    costs.merged.points.push_back(
        {density, std::max(0.0, many.finish - few.finish) / (ranks * more)});
  }
  for (const StepTimes& times : sparse) {
    const double pass = times.prepare - costs.selected.at(0) * times.k;
    const double result = times.finish - costs.merged.at(0) * ranks * times.k;
    costs.pass.points.push_back({times.count, std::max(pass, 0.0) + times.skew});
    costs.result.points.push_back({times.count, std::max(result, 0.0)});
  }
  if (communicator.transport().size() > 1) {
    const Workload workload{.count = count,
                            .k = std::max(least_k, std::min(count / 8, most)),
                            .world_size = communicator.transport().size()};
    const auto k = static_cast<double>(workload.k);
    const double split = time_split(communicator, clock, count, workload.k, stream);
    const double others =
        few.prepare + costs.selected.at(k / few.count) * k + costs.result.at(few.count);
    costs.split = std::max(costs.merged.at(0), (split - others) / split_entries(workload));
  }
  costs.reduction = probe_reduction(communicator, clock);
  return costs;
}

}  // namespace sparccl
