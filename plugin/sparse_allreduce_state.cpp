// A tensor's state, to and from files.
#include <utility>
#include <vector>

#include "sparse_allreduce.hpp"

namespace sparccl {

StateCopy SparseAllreduce::Impl::state() const {
  communicator_->backend().finish_all();
  StateCopy state = copy_state(communicator_->backend(), plan_, memory_);
  state.path = path_;
  state.at_rest = route_ != nullptr && route_->at_rest();
  if (choice_ && !choice_->settled()) {  // the history is the trial's, and what rests as well
    state.path = Path::automatic;
    state.at_rest = false;
  }
  return state;
}

/// Where the path is to be chosen, it is the one that was taken when the state was saved.
void SparseAllreduce::Impl::adopt(StateCopy state) {
  const Path path = options_.path == Path::automatic ? state.path : options_.path;
  if (path != state.path || path == Path::automatic) forget_path(state);
  std::unique_ptr<Route> route = route_of(path, plan_, options_);
  Memory memory = memory_;
  memory.bounds = nullptr;
  if (route != nullptr) route->install(memory);
  if (memory.bounds == nullptr || !route->takes_ranges(state.ranges)) state.ranges.clear();
  History history =
      make_history(backend(), plan_, std::max(state.offsets.size(), std::size_t{plan_.k}), memory);
  backend().finish_all();
  const Ranges ranges = ranges_of(state);
  put_state(backend(), state, memory);
  history_ = std::move(history);
  memory_ = memory;
  choice_.reset();
  unchosen_ = "the path that a state was saved on";
  take_route(path, std::move(route));
  if (state.at_rest && path == state.path && route_ != nullptr) route_->resume_at_rest();
  loaded_ranges_ = ranges.loaded;
  if (ranges.began != 0) route_began_ = ranges.began;
}

/// Ranks whose ranges differ would add up entries of different positions: they have to be told
/// apart before. A state that was saved from here, or from a rank that went on, may be loaded by
/// one alone.
SparseAllreduce::Impl::Ranges SparseAllreduce::Impl::ranges_of(const StateCopy& state) const {
  if (state.ranges.empty()) return {};
  const Ranges present = ranges();
  if (present.numbers == state.ranges) return present;
  return {state.ranges, Call::loaded_ranges | hash_of_ranges(state), 0};
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
