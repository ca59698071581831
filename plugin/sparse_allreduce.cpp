#include "sparse_allreduce.hpp"

#include <chrono>
#include <cmath>
#include <utility>

#include "plan.hpp"

namespace sparccl {
namespace {

/// Seconds since the last look.
class StopWatch {
 public:
  double lap() {
    const auto now = std::chrono::steady_clock::now();
    return std::chrono::duration<double>(now - std::exchange(last_, now)).count();
  }

 private:
  std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
};

}  // namespace

// The data path, top to bottom.
std::size_t SparseAllreduce::Impl::run(const void* gradient, double loss_scale, Stream stream,
                                       const Output& output) {
  communicator_->require_usable();
  require_arguments(gradient, loss_scale, stream, output);

  Backend& backend = communicator_->backend();
  void* scratch = work_.scratch.get();
  const Packet& outgoing = work_.packets[static_cast<std::size_t>(plan_.rank)];
  const Step step{gradient, 1.0 / loss_scale, step_, stream};
  StageSeconds seconds;
  StopWatch watch;

  communicator_->agree(call(output.reduction));
  seconds.wait = watch.lap();
  backend.accumulate(plan_, step, memory_, scratch);
  seconds.accumulate = watch.lap();
  backend.select(plan_, step, memory_, scratch);
  seconds.select = watch.lap();
  wire::write_identity(plan_, step_, slot(plan_.rank));
  backend.pack(plan_, step, memory_, scratch, outgoing);
  seconds.pack = watch.lap();
  exchange(step);
  seconds.exchange = watch.lap();
  const Verdict verdict = backend.check(plan_, work_.packets);
  if (verdict.kind != Verdict::Kind::sum) {
    backend.restore(plan_, step, memory_, scratch);
  }
  if (verdict.kind == Verdict::Kind::bad_packet) reject_packet(verdict);
  const std::size_t written =
      backend.merge(plan_, step, memory_, scratch, work_.packets, verdict, output);
  seconds.merge = watch.lap();

  record(seconds, verdict);
  if (verdict.kind == Verdict::Kind::non_finite && options_.non_finite == NonFinite::error) {
    throw Error(Result::non_finite, about(name_) + "rank " + std::to_string(verdict.rank) +
                                        " expected a finite gradient, found a NaN or an Inf");
  }
  return written;
}

void SparseAllreduce::Impl::exchange(const Step& step) {
  Transport& transport = communicator_->transport();
  try {
    communicator_->carry_out(
        name_, [&] { transport.all_gather(work_.slots.get(), work_.layout.bytes, step.stream); });
  } catch (...) {
    communicator_->backend().restore(plan_, step, memory_, work_.scratch.get());
    if (transport.keeps_buffers_after_failure()) static_cast<void>(work_.slots.release());
    throw;
  }
}

void SparseAllreduce::Impl::reject_packet(const Verdict& verdict) {
  std::string message = about(name_) + "rank " + std::to_string(verdict.rank) +
                        " sent a bad packet: " + verdict.problem;
  const std::string field = wire::describe_identity(plan_, step_, slot(verdict.rank));
  if (!field.empty()) message += " (" + field + ")";
  const Error error(Result::bad_packet, message);
  communicator_->fail(error);
  throw error;
}

void SparseAllreduce::Impl::record(const StageSeconds& seconds, const Verdict& verdict) {
  const auto world = static_cast<std::uint64_t>(plan_.world_size);
  const StepCounts counts = communicator_->backend().counts(plan_, work_.scratch.get());
  const std::uint64_t sent = *work_.packets[static_cast<std::size_t>(plan_.rank)].entries;
  const std::uint64_t tensor_bytes = plan_.count * size_of(plan_.type);
  ++stats_.steps;
  stats_.entries += sent;
  stats_.candidates += counts.candidates;
  stats_.fallbacks += counts.fallbacks;
  stats_.wire_bytes += (world - 1) * work_.layout.bytes;
  stats_.dense_bytes += 2 * (world - 1) * tensor_bytes / world;
  stats_.last_entries = sent;
  stats_.last_candidates = counts.candidates;
  stats_.last_seconds = seconds;
  stats_.seconds.wait += seconds.wait;
  stats_.seconds.accumulate += seconds.accumulate;
  stats_.seconds.select += seconds.select;
  stats_.seconds.pack += seconds.pack;
  stats_.seconds.exchange += seconds.exchange;
  stats_.seconds.merge += seconds.merge;
  if (verdict.kind == Verdict::Kind::non_finite) {
    ++stats_.non_finite_steps;
  } else {
    ++step_;
  }
}

Call SparseAllreduce::Impl::call(Reduction reduction) const {
  return {.kind = Call::Kind::sparse_allreduce,
          .name = name_,
          .count = plan_.count,
          .k = plan_.k,
          .step = step_,
          .type = plan_.type,
          .wire = plan_.wire,
          .reduction = reduction,
          .distortion = plan_.distortion,
          .non_finite = options_.non_finite,
          .mu = plan_.mu};
}

void SparseAllreduce::Impl::require_arguments(const void* gradient, double loss_scale,
                                              Stream stream, const Output& output) const {
  const std::size_t bytes = plan_.count * size_of(plan_.type);
  if (output.dense != nullptr || output.positions == nullptr) {
    require_buffers(gradient, output.dense, bytes, bytes, name_);
  } else {
    const std::size_t capacity = plan_.sparse_capacity();
    require_buffers(gradient, output.values, bytes, capacity * size_of(plan_.type), name_);
    require_buffers(gradient, output.positions, bytes, capacity * sizeof(std::uint64_t), name_);
    require_buffers(output.positions, output.values, capacity * sizeof(std::uint64_t),
                    capacity * size_of(plan_.type), name_);
    const void* const values = output.values;
    if (gradient == values || gradient == output.positions || values == output.positions) {
      throw Error(Result::invalid_argument,
                  about(name_) +
                      "sparse result: expected positions, values and gradient in buffers "
                      "of their own, found two in one");
    }
  }
  const auto scale = static_cast<float>(1.0 / loss_scale);
  if (!(loss_scale > 0.0 && std::isfinite(loss_scale) && std::isfinite(scale) && scale > 0.0f)) {
    throw Error(Result::invalid_argument,
                about(name_) +
                    "loss scale: expected a number > 0 whose inverse is a float, found " +
                    std::to_string(loss_scale));
  }
  if (stream != nullptr) {
    throw Error(Result::invalid_argument,
                about(name_) +
                    "stream: expected a null pointer on a host communicator, found one "
                    "that is not null");
  }
}

SparseAllreduce::Impl::Impl(std::shared_ptr<Communicator::Impl> communicator, std::string name,
                            std::size_t count, DataType type, const Options& options)
    : communicator_(std::move(communicator)), name_(std::move(name)), options_(options) {
  const Transport& transport = communicator_->transport();
  plan_ = make_plan(name_, count, type, options_, {transport.rank(), transport.size()});
  Backend& backend = communicator_->backend();
  residual_ = backend.allocate(plan_.count * size_of(plan_.accumulator()));
  memory_.residual = residual_.get();
  history_ = make_history(backend, plan_, plan_.k, memory_);
  work_ = make_work(plan_);
}

SparseAllreduce::Impl::Work SparseAllreduce::Impl::make_work(const Plan& plan) const {
  Backend& backend = communicator_->backend();
  const auto world = static_cast<std::size_t>(plan.world_size);
  Work work;
  work.layout = wire::layout(plan);
  work.scratch_bytes = backend.workspace_bytes(plan);
  work.scratch = backend.allocate(work.scratch_bytes);
  work.slots = backend.allocate(world * work.layout.bytes);
  for (std::size_t rank = 0; rank < world; ++rank) {
    work.packets.push_back(
        wire::view(plan, static_cast<std::byte*>(work.slots.get()) + rank * work.layout.bytes));
  }
  return work;
}

std::byte* SparseAllreduce::Impl::slot(int rank) const {
  return static_cast<std::byte*>(work_.slots.get()) +
         static_cast<std::size_t>(rank) * work_.layout.bytes;
}

void SparseAllreduce::Impl::set_options(const Options& options) {
  const Plan plan =
      make_plan(name_, plan_.count, plan_.type, options, {plan_.rank, plan_.world_size});
  Work work = make_work(plan);
  const std::size_t capacity = std::max(plan.k, history_entries(plan_, memory_));
  if (capacity != history_.capacity) {
    Memory memory = memory_;
    History history = make_history(communicator_->backend(), plan, capacity, memory);
    copy_history(plan_, memory_, memory);
    history_ = std::move(history);
    memory_ = memory;
  }
  work_ = std::move(work);
  plan_ = plan;
  options_ = options;
}

Stats SparseAllreduce::Impl::stats() const noexcept {
  Stats stats = stats_;
  stats.packet_bytes = work_.layout.bytes;
  stats.residual_bytes = plan_.count * size_of(plan_.accumulator());
  stats.workspace_bytes = work_.scratch_bytes + history_.bytes +
                          static_cast<std::size_t>(plan_.world_size) * work_.layout.bytes;
  return stats;
}

void SparseAllreduce::Impl::save(const std::filesystem::path& path) const {
  save_state(path, {name_, plan_}, step_, memory_);
}

void SparseAllreduce::Impl::load(const std::filesystem::path& path) {
  LoadedState state = load_state(path, {name_, plan_}, communicator_->backend());
  residual_ = std::move(state.residual);
  history_ = std::move(state.history);
  memory_ = state.memory;
  step_ = state.step;
}

}  // namespace sparccl
