// Which route a tensor's calls take, and when it is made and entered.
#include <utility>

#include "calibration.hpp"
#include "probe_clock.hpp"
#include "sparse_allreduce.hpp"

namespace sparccl {

/// A path that is being tried may be followed by one that has no sparse result, in this very call.
void SparseAllreduce::Impl::require_path_of_sparse() const {
  const bool stays = !choice_ || choice_->settled();
  if (stays && (path_ == Path::allgather || path_ == Path::split)) return;
  if (!stays) {
    throw Error(Result::invalid_usage,
                about(name_) +
                    "sparse(): expected path allgather or split, found auto, which is "
                    "still being tried: make some dense calls before");
  }
  throw Error(Result::invalid_usage,
              about(name_) + "sparse(): expected path allgather or split, found " + name_of(path_));
}

std::unique_ptr<Route> SparseAllreduce::Impl::route_of(Path path, const Plan& plan,
                                                       const Options& options) {
  if (path == Path::automatic || path == Path::hierarchical) return nullptr;
  return make_route(path, context(), plan, options);
}

void SparseAllreduce::Impl::take_route(Path path, std::unique_ptr<Route> route) {
  path_ = path;
  route_ = std::move(route);
  entered_ = false;
  loaded_ranges_ = route_began_ = 0;
  memory_.bounds = memory_.demand = nullptr;
  if (route_ == nullptr) return;
  route_->install(memory_);
  if (route_->has_course()) route_began_ = 1 + static_cast<std::uint32_t>(steps());
}

/// That were made, on the device, too.
std::uint64_t SparseAllreduce::Impl::steps() const {
  std::uint64_t steps = 0;
  communicator_->backend().finish_all();
  communicator_->backend().download(&steps, memory_.step, sizeof steps);
  return steps;
}

/// Whether the next call tries a path. What a state was saved on, or no calibration, is no choice.
bool SparseAllreduce::Impl::choosing() const {
  if (options_.path != Path::automatic) return false;
  return choice_ ? !choice_->settled() : path_ == Path::automatic;
}

void SparseAllreduce::Impl::make_ready(Stream stream) {
  const bool chooses = choosing();
  if (!chooses && route_ != nullptr && entered_) return;
  make_ready_now(chooses, stream);
  if (chooses) observer_.skip();  // a probe is no stage
}

void SparseAllreduce::Impl::make_ready_now(bool chooses, Stream stream) {
  if (chooses) {
    Path path = path_;
    naming(name_, [&] { path = choose_path(stream); });
    if (path != path_) {
      backend().finish_all();
      forget_history();
      take_route(path, nullptr);
    }
  }
  if (route_ == nullptr) make_route_now();
  if (entered_) return;
  try {
    communicator_->carry_out(name_, [&] { route_->enter(stream); });
  } catch (...) {
    if (communicator_->transport().keeps_buffers_after_failure()) {
      route_->keep_buffers();
      static_cast<void>(residual_.release());  // which may be on its way
    }
    throw;
  }
  entered_ = true;
}

/// A path that the ranks' nodes do not allow is refused by all of them alike, and harms nothing.
void SparseAllreduce::Impl::make_route_now() {
  try {
    take_route(path_, make_route(path_, context(), plan_, options_));
  } catch (const Error& error) {
    if (error.code() != Result::invalid_argument) communicator_->fail(error);
    throw;
  } catch (const std::exception& exception) {  // of this rank alone: the others must not wait
    const Error error(Result::system_error, about(name_) + exception.what());
    communicator_->fail(error);
    throw error;
  }
}

Path SparseAllreduce::Impl::choose_path(Stream stream) {
  if (path_ != Path::automatic && !choice_) return path_;  // see unchosen_
  if (!choice_) {
    const std::optional<Costs>& costs = communicator_->costs(stream);
    if (!costs) {
      unchosen_ = "calibration is off";
      return Path::allgather;
    }
    choice_.emplace(predict(*costs, workload_of(plan_, *costs)), !communicator_->asynchronous());
  }
  if (choice_->tried()) {
    std::vector<double> figures = choice_->figures();
    communicator_->carry_out(name_, [&] { ProbeClock(*communicator_, stream).least(figures); });
    choice_->settle(figures);
  }
  return choice_->path();
}

/// What was sent last step is no guide to another path: its sums were others.
void SparseAllreduce::Impl::forget_history() {
  backend().clear(memory_.sent_per_block, plan_.blocks() * sizeof(std::uint32_t), nullptr);
  backend().finish_all();
}

}  // namespace sparccl
