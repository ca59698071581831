#include "sparse_allreduce.hpp"

#include <chrono>
#include <cmath>
#include <utility>
#include <vector>

#include "group.hpp"
#include "plan.hpp"

namespace sparccl {

// A call, top to bottom. What happens between the ranks is in paths/.
std::size_t SparseAllreduce::Impl::run(const void* gradient, double loss_scale, Stream stream,
                                       const Output& output) {
  communicator_->require_usable();
  require_arguments(gradient, loss_scale, stream, output);
  Run run{step_of(gradient, loss_scale, stream), output};
  if (communicator_->asynchronous() && in_group()) {
    add_to_open_group(run);
    return 0;
  }
  require_no_call_in_group();

  const Range range = observer_.call(name_.c_str());
  if (communicator_->asynchronous()) collect_stage_times();  // else each call has collected its own
  using Clock = std::chrono::steady_clock;
  const Clock::time_point began = choosing() ? Clock::now() : Clock::time_point();
  observer_.begin(stream);
  observer_.timed(Stage::wait, [&] {
    communicator_->agree(call(output.reduction), roll_, memory_.step, stream);
  });
  make_ready(stream);
  add_bytes(run.step);
  taking_back(run, [&] {
    for (int i = 0; i < route_->exchanges(); ++i) {
      prepare(i, run);
      observer_.timed(Stage::exchange, [&] { exchange(i, run); });
    }
    finish(run);
  });
  if (choice_ && !choice_->settled()) {
    choice_->took(std::chrono::duration<double>(Clock::now() - began).count());
  }
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
    route_->take_back(run);
    if (!communicator_->asynchronous()) backend().finish(run.step.stream);
  } catch (...) {  // the device is lost, and the state with it
  }
}

void SparseAllreduce::Impl::prepare(int exchange, const Run& run) {
  communicator_->carry_out(name_, [&] { route_->prepare(exchange, run); });
  if (exchange > 0) require_sound_packets();
}

void SparseAllreduce::Impl::exchange(int exchange, const Run& run) {
  try {
    communicator_->carry_out(name_, [&] { route_->exchange(exchange, run); });
  } catch (...) {
    if (communicator_->transport().keeps_buffers_after_failure()) route_->keep_buffers();
    throw;
  }
}

void SparseAllreduce::Impl::finish(const Run& run) {
  communicator_->carry_out(name_, [&] {
    route_->finish(run);
    if (!communicator_->asynchronous()) backend().finish(run.step.stream);
  });
  require_sound_packets();
}

/// After a call that is under way.
std::size_t SparseAllreduce::Impl::conclude_enqueued(const Run& run) {
  observer_.end();
  if (run.output.dense != nullptr) return 0;
  backend().finish(run.step.stream);
  communicator_->require_usable();
  return static_cast<std::size_t>(memory_.report->written);
}

/// After a call that has waited: what it came to.
std::size_t SparseAllreduce::Impl::conclude() {
  const Report& report = *memory_.report;
  observer_.end();
  collect_stage_times();
  if (report.verdict.kind == Verdict::Kind::non_finite && options_.non_finite == NonFinite::error) {
    const int rank = report.verdict.rank;
    throw Error(Result::non_finite, about(name_) +
                                        (rank < 0 ? "a rank" : route_->describe_peer(rank)) +
                                        " expected a finite gradient, found a NaN or an Inf");
  }
  return static_cast<std::size_t>(report.written);
}

/// Where calls block, a bad packet is known as soon as it was checked, and ends the communicator.
void SparseAllreduce::Impl::require_sound_packets() {
  if (communicator_->asynchronous()) return;
  const Verdict& verdict = memory_.report->verdict;
  if (verdict.kind == Verdict::Kind::bad_packet) reject_packet(verdict);
}

void SparseAllreduce::Impl::reject_packet(const Verdict& verdict) {
  std::string message = about(name_) + route_->describe_peer(verdict.rank) +
                        " sent a bad packet: " + text_of(verdict.problem);
  const std::string field = route_->describe_bad(verdict.rank);
  if (!field.empty()) message += " (" + field + ")";
  const Error error(Result::bad_packet, message);
  communicator_->fail(error);
  throw error;
}

Step SparseAllreduce::Impl::step_of(const void* gradient, double loss_scale, Stream stream) {
  Step step;
  step.gradient = gradient;
  step.scale = 1.0 / loss_scale;
  step.stream = stream;
  if (communicator_->asynchronous()) {
    step.refused = roll_.get().refused;
    step.trouble = communicator_->trouble();
    step.tensor = number_;
  }
  return step;
}

/// Once there is a route.
void SparseAllreduce::Impl::add_bytes(Step& step) const {
  step.wire_bytes = route_->bytes().wire;
  step.dense_bytes = dense_bytes_;
}

Call SparseAllreduce::Impl::call(Reduction reduction) const {
  return {.kind = Call::Kind::sparse_allreduce,
          .name = hashed_name_,
          .count = plan_.count,
          .k = plan_.k,
          .type = plan_.type,
          .wire = plan_.wire,
          .reduction = reduction,
          .distortion = plan_.distortion,
          .non_finite = options_.non_finite,
          .mu = plan_.mu,
          .path = path_,
          .course = choice_ && !choice_->settled() ? choice_->calls() + 1 : loaded_ranges_,
          .route_began = route_began_};
}

void SparseAllreduce::Impl::require_arguments(const void* gradient, double loss_scale,
                                              Stream stream, const Output& output) const {
  const std::size_t bytes = plan_.count * size_of(plan_.type);
  const Backend& backend = communicator_->backend();
  naming(name_, [&] { backend.require_stream(stream); });
  if (output.dense != nullptr || output.positions == nullptr) {
    require_buffers(backend, gradient, output.dense, bytes, bytes, name_);
  } else {
    require_path_of_sparse();
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
    : communicator_(std::move(communicator)),
      name_(std::move(name)),
      hashed_name_(name_),
      options_(options),
      observer_(communicator_->backend()) {
  const Transport& transport = communicator_->transport();
  plan_ = make_plan(name_, count, type, options_, {transport.rank(), transport.size()});
  require_policy(options_);
  dense_bytes_ = dense_bytes(plan_);
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
  roll_ = Communicator::Impl::Roll(backend(), communicator_->transport());
  take_route(options_.path, route_of(options_.path, plan_, options_));
  if (!communicator_->asynchronous()) observer_.clock() = make_stop_watch(false);
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

void SparseAllreduce::Impl::set_options(const Options& options) {
  require_no_call_in_group();
  const Plan plan =
      make_plan(name_, plan_.count, plan_.type, options, {plan_.rank, plan_.world_size});
  if (plan.k == plan_.k && plan.mu == plan_.mu && options.path == options_.path) {
    options_ = options;  // another density, maybe, of as many entries
    return;
  }
  backend().finish_all();
  const Path path = options.path;
  const bool rests = path == path_ && route_ != nullptr && route_->at_rest();
  std::unique_ptr<Route> route = route_of(path, plan, options);
  const Ranges ranges = path == path_ ? this->ranges() : Ranges{};
  const std::size_t capacity = std::max(plan.k, history_entries(backend(), plan_, memory_));
  if (capacity != history_.capacity) {
    Memory memory = memory_;
    History history = make_history(backend(), plan, capacity, memory);
    copy_history(backend(), plan_, memory_, memory);
    history_ = std::move(history);
    memory_ = memory;
  }
  if (path != path_) forget_history();
  plan_ = plan;
  options_ = options;
  choice_.reset();
  take_route(path, std::move(route));
  if (rests && route_ != nullptr) route_->resume_at_rest();
  if (route_ != nullptr && route_->takes_ranges(ranges.numbers)) put_ranges(ranges);
}

SparseAllreduce::Impl::Ranges SparseAllreduce::Impl::ranges() const {
  Ranges ranges{{}, loaded_ranges_, route_began_};
  if (memory_.bounds == nullptr) return ranges;
  ranges.numbers.resize(2 * static_cast<std::size_t>(plan_.world_size) + 1);
  communicator_->backend().download(ranges.numbers.data(), memory_.bounds,
                                    ranges.numbers.size() * sizeof(ranges.numbers[0]));
  return ranges;
}

/// As if it had kept them: a rank that was refused and goes back has them as the others do.
void SparseAllreduce::Impl::put_ranges(const Ranges& ranges) {
  backend().upload(memory_.bounds, ranges.numbers.data(),
                   ranges.numbers.size() * sizeof(ranges.numbers[0]));
  loaded_ranges_ = ranges.loaded;
  route_began_ = ranges.began;
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
  stats.residual_bytes = plan_.count * size_of(plan_.accumulator());
  const RouteBytes route = route_ != nullptr ? route_->bytes() : RouteBytes{};
  stats.packet_bytes = route.packet;
  stats.step_bytes = route.wire;
  stats.workspace_bytes = history_.bytes + route.workspace;
  stats.seconds = seconds_;
  stats.last_seconds = last_seconds_;
  stats.path = path_;
  stats.path_reason = options_.path != Path::automatic ? "asked for"
                      : choice_                        ? choice_->reason()
                      : path_ == Path::automatic       ? "not chosen before the first call"
                                                       : unchosen_;
  return stats;
}

}  // namespace sparccl
