#include "sparse_allreduce.hpp"

#include <cmath>
#include <utility>
#include <vector>

#include "group.hpp"
#include "plan.hpp"

namespace sparccl {

// The data path, top to bottom.
std::size_t SparseAllreduce::Impl::run(const void* gradient, double loss_scale, Stream stream,
                                       const Output& output) {
  communicator_->require_usable();
  require_arguments(gradient, loss_scale, stream, output);
  const Run run{step_of(gradient, loss_scale, stream), output};
  if (communicator_->asynchronous() && in_group()) {
    add_to_open_group(run);
    return 0;
  }
  require_no_call_in_group();

  const Range range(backend(), name_.c_str());
  begin_clock(stream);
  timed(Stage::wait,
        [&] { communicator_->agree(call(output.reduction), work_.roll, memory_.step, stream); });
  taking_back(run, [&] {
    prepare(run);
    timed(Stage::exchange, [&] { exchange(run); });
    timed(Stage::merge, [&] { finish(run); });
  });
  return communicator_->asynchronous() ? conclude_enqueued(run) : conclude();
}

template <class Part>
void SparseAllreduce::Impl::taking_back(const Run& run, const Part& part) {
  try {
    part();
  } catch (...) {
    take_back(run);
    throw;
  }
}

void SparseAllreduce::Impl::take_back(const Run& run) noexcept {
  try {
    backend().restore(plan_, run.step, memory_, scratch());
    if (!communicator_->asynchronous()) backend().finish(run.step.stream);
  } catch (...) {  // the device is lost, and the state with it
  }
}

void SparseAllreduce::Impl::prepare(const Run& run) {
  communicator_->carry_out(name_, [&] {
    timed(Stage::accumulate, [&] { backend().accumulate(plan_, run.step, memory_, scratch()); });
    timed(Stage::select, [&] { backend().select(plan_, run.step, memory_, scratch()); });
    timed(Stage::pack, [&] { backend().pack(plan_, run.step, memory_, scratch(), outgoing()); });
  });
}

void SparseAllreduce::Impl::exchange(const Run& run) {
  Transport& transport = communicator_->transport();
  try {
    communicator_->carry_out(name_, [&] {
      transport.all_gather(work_.slots.get(), work_.layout.bytes, run.step.stream);
    });
  } catch (...) {
    if (transport.keeps_buffers_after_failure()) static_cast<void>(work_.slots.release());
    throw;
  }
}

void SparseAllreduce::Impl::finish(const Run& run) {
  communicator_->carry_out(name_, [&] {
    backend().check(plan_, run.step, memory_, scratch(), work_.packets);
    backend().restore(plan_, run.step, memory_, scratch());
    backend().merge(plan_, run.step, memory_, scratch(), work_.packets, run.output);
    if (!communicator_->asynchronous()) backend().finish(run.step.stream);
  });
}

/// After a call that is under way.
std::size_t SparseAllreduce::Impl::conclude_enqueued(const Run& run) {
  if (clock_ != nullptr) clock_->end();
  if (run.output.dense != nullptr) return 0;
  backend().finish(run.step.stream);
  communicator_->require_usable();
  return static_cast<std::size_t>(memory_.report->written);
}

/// After a call that has waited: what it came to.
std::size_t SparseAllreduce::Impl::conclude() {
  const Report& report = *memory_.report;
  if (report.verdict.kind == Verdict::Kind::bad_packet) reject_packet(report.verdict);
  clock_->end();
  collect_stage_times();
  if (report.verdict.kind == Verdict::Kind::non_finite && options_.non_finite == NonFinite::error) {
    throw Error(Result::non_finite, about(name_) + "rank " + std::to_string(report.verdict.rank) +
                                        " expected a finite gradient, found a NaN or an Inf");
  }
  return static_cast<std::size_t>(report.written);
}

void SparseAllreduce::Impl::reject_packet(const Verdict& verdict) {
  std::string message = about(name_) + "rank " + std::to_string(verdict.rank) +
                        " sent a bad packet: " + text_of(verdict.problem);
  std::vector<std::byte> sound(wire::identity_bytes()), found(wire::identity_bytes());
  backend().download(sound.data(), slot(plan_.rank), sound.size());
  backend().download(found.data(), slot(verdict.rank), found.size());
  const std::string field = wire::describe_identity(sound.data(), found.data());
  if (!field.empty()) message += " (" + field + ")";
  const Error error(Result::bad_packet, message);
  communicator_->fail(error);
  throw error;
}

Step SparseAllreduce::Impl::step_of(const void* gradient, double loss_scale, Stream stream) {
  const auto world = static_cast<std::uint64_t>(plan_.world_size);
  Step step;
  step.gradient = gradient;
  step.scale = 1.0 / loss_scale;
  step.stream = stream;
  step.wire_bytes = (world - 1) * work_.layout.bytes;
  step.dense_bytes = 2 * (world - 1) * (plan_.count * size_of(plan_.type)) / world;
  if (communicator_->asynchronous()) {
    step.refused = work_.roll.get().refused;
    step.trouble = communicator_->trouble();
    step.tensor = number_;
  }
  return step;
}

Call SparseAllreduce::Impl::call(Reduction reduction) const {
  return {.kind = Call::Kind::sparse_allreduce,
          .name = name_,
          .count = plan_.count,
          .k = plan_.k,
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
  const Backend& backend = communicator_->backend();
  naming(name_, [&] { backend.require_stream(stream); });
  if (output.dense != nullptr || output.positions == nullptr) {
    require_buffers(backend, gradient, output.dense, bytes, bytes, name_);
  } else {
    const std::size_t values_bytes = plan_.sparse_capacity() * size_of(plan_.type);
    const std::size_t positions_bytes = plan_.sparse_capacity() * sizeof(std::uint64_t);
    require_buffers(backend, gradient, output.values, bytes, values_bytes, name_);
    require_buffers(backend, gradient, output.positions, bytes, positions_bytes, name_);
    require_buffers(backend, output.positions, output.values, positions_bytes, values_bytes, name_);
    const void* const values = output.values;
    if (gradient == values || gradient == output.positions || values == output.positions) {
      throw Error(Result::invalid_argument,
                  about(name_) +
                      "sparse result: expected positions, values and gradient in buffers "
                      "of their own, found two in one");
    }
  }
  const std::size_t width = size_of(plan_.type);
  require_aligned(gradient, width, "send buffer", name_);
  require_aligned(output.dense, width, "receive buffer", name_);
  require_aligned(output.values, width, "values", name_);
  require_aligned(output.positions, sizeof(std::uint64_t), "positions", name_);
  const auto scale = static_cast<float>(1.0 / loss_scale);
  if (!(loss_scale > 0.0 && std::isfinite(loss_scale) && std::isfinite(scale) && scale > 0.0f)) {
    throw Error(Result::invalid_argument,
                about(name_) +
                    "loss scale: expected a number > 0 whose inverse is a float, found " +
                    std::to_string(loss_scale));
  }
}

SparseAllreduce::Impl::Impl(std::shared_ptr<Communicator::Impl> communicator, std::string name,
                            std::size_t count, DataType type, const Options& options)
    : communicator_(std::move(communicator)), name_(std::move(name)), options_(options) {
  const Transport& transport = communicator_->transport();
  plan_ = make_plan(name_, count, type, options_, {transport.rank(), transport.size()});
  require_policy(options_);
  number_ = communicator_->add_tensor(name_);
  residual_ = backend().allocate(plan_.count * size_of(plan_.accumulator()));
  counters_ = backend().allocate(2 * sizeof(std::uint64_t));
  totals_ = backend().allocate(sizeof(Report));
  report_ = backend().allocate_shared(sizeof(Report));
  memory_.residual = residual_.get();
  memory_.step = static_cast<std::uint64_t*>(counters_.get());
  memory_.call = memory_.step + 1;
  memory_.totals = static_cast<Report*>(totals_.get());
  memory_.report = static_cast<Report*>(report_.get());
  history_ = make_history(backend(), plan_, plan_.k, memory_);
  work_ = make_work(plan_);
  if (!communicator_->asynchronous()) clock_ = make_stop_watch();
}

SparseAllreduce::Impl::~Impl() {
  if (in_group_) withdraw_from_group(this);
  try {
    communicator_->backend().finish_all();  // kernels may still use what is about to be freed
  } catch (...) {
  }
}

/// A call that has returned cannot throw.
void SparseAllreduce::Impl::require_policy(const Options& options) const {
  if (!communicator_->asynchronous() || options.non_finite == NonFinite::propagate) return;
  throw Error(Result::invalid_argument,
              about(name_) +
                  "non-finite policy: expected propagate on an asynchronous communicator, whose "
                  "calls return before the gradient is read; found error");
}

SparseAllreduce::Impl::Work SparseAllreduce::Impl::make_work(const Plan& plan) const {
  Backend& backend = communicator_->backend();
  const auto world = static_cast<std::size_t>(plan.world_size);
  Work work;
  work.layout = wire::layout(plan);
  work.scratch_bytes = backend.workspace_bytes(plan);
  work.scratch = backend.allocate(work.scratch_bytes);
  work.slots = backend.allocate(world * work.layout.bytes);
  auto* const slots = static_cast<std::byte*>(work.slots.get());
  for (std::size_t rank = 0; rank < world; ++rank) {
    work.packets.push_back(wire::view(plan, slots + rank * work.layout.bytes));
  }
  std::vector<std::byte> identity(wire::identity_bytes());
  wire::write_identity(plan, 0, identity.data());  // pack() writes the number of the call
  backend.upload(slots + static_cast<std::size_t>(plan.rank) * work.layout.bytes, identity.data(),
                 identity.size());
  work.roll = Communicator::Impl::Roll(backend, communicator_->transport());
  return work;
}

std::byte* SparseAllreduce::Impl::slot(int rank) const {
  return static_cast<std::byte*>(work_.slots.get()) +
         static_cast<std::size_t>(rank) * work_.layout.bytes;
}

void SparseAllreduce::Impl::set_options(const Options& options) {
  require_no_call_in_group();
  const Plan plan =
      make_plan(name_, plan_.count, plan_.type, options, {plan_.rank, plan_.world_size});
  backend().finish_all();
  Work work = make_work(plan);
  const std::size_t capacity = std::max(plan.k, history_entries(backend(), plan_, memory_));
  if (capacity != history_.capacity) {
    Memory memory = memory_;
    History history = make_history(backend(), plan, capacity, memory);
    copy_history(backend(), plan_, memory_, memory);
    history_ = std::move(history);
    memory_ = memory;
  }
  work_ = std::move(work);
  plan_ = plan;
  options_ = options;
}

Stats SparseAllreduce::Impl::stats() const {
  const Report& report = *memory_.report;
  Stats stats;
  stats.steps = report.steps;
  stats.non_finite_steps = report.non_finite_steps;
  stats.entries = report.entries;
  stats.candidates = report.candidates;
  stats.fallbacks = report.fallbacks;
  stats.wire_bytes = report.wire_bytes;
  stats.dense_bytes = report.dense_bytes;
  stats.last_entries = report.last_entries;
  stats.last_candidates = report.last_candidates;
  stats.packet_bytes = work_.layout.bytes;
  stats.residual_bytes = plan_.count * size_of(plan_.accumulator());
  stats.workspace_bytes = work_.scratch_bytes + history_.bytes +
                          static_cast<std::size_t>(plan_.world_size) * work_.layout.bytes;
  stats.seconds = seconds_;
  stats.last_seconds = last_seconds_;
  return stats;
}

StateCopy SparseAllreduce::Impl::state() const {
  communicator_->backend().finish_all();
  return copy_state(communicator_->backend(), plan_, memory_);
}

void SparseAllreduce::Impl::adopt(const StateCopy& state) {
  Memory memory = memory_;
  History history =
      make_history(backend(), plan_, std::max(state.offsets.size(), std::size_t{plan_.k}), memory);
  backend().finish_all();
  put_state(backend(), state, memory);
  history_ = std::move(history);
  memory_ = memory;
}

void SparseAllreduce::Impl::save(const std::filesystem::path& path) const {
  save_state(path, {name_, plan_}, state());
}

void SparseAllreduce::Impl::load(const std::filesystem::path& path) {
  require_no_call_in_group();
  adopt(load_state(path, {name_, plan_}));
}

void SparseAllreduce::Impl::write(std::ostream& out) const {
  write_state(out, {name_, plan_}, state());
}

void SparseAllreduce::Impl::read(std::istream& in, std::uint64_t bytes,
                                 const std::filesystem::path& path) {
  require_no_call_in_group();
  adopt(read_state(in, bytes, path, {name_, plan_}));
}

}  // namespace sparccl
