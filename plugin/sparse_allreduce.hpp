// The insides of a SparseAllreduce: plan, memory, workspace, run.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <sparccl/sparccl.hpp>

#include "communicator.hpp"
#include "observation.hpp"
#include "path_choice.hpp"
#include "paths/route.hpp"
#include "stages.hpp"
#include "state.hpp"

namespace sparccl {

class SparseAllreduce::Impl {
 public:
  Impl(std::shared_ptr<Communicator::Impl> communicator, std::string name, std::size_t count,
       DataType type, const Options& options);
  ~Impl();

  /// One step; see SparseAllreduce::operator(). Returns the entries of a sparse output.
  std::size_t run(const void* gradient, double loss_scale, Stream stream, const Output& output);

  /// From the next step on. Strong guarantee: throws before anything has changed.
  void set_options(const Options& options);

  void save(const std::filesystem::path& path) const;
  void load(const std::filesystem::path& path);
  /// The same within a file of several tensors. path: for messages.
  void write(std::ostream& out) const;
  void read(std::istream& in, std::uint64_t bytes, const std::filesystem::path& path);

  /// Told of each call that was measured, once it is done: in the next call or
  /// collect_stage_times(), on that thread; of one that blocks, before it returns. May not call
  /// the tensor. What it throws is lost.
  using StageListener = std::function<void(const StageTimes&)>;

  /// From the next call on, stages of eager calls on a device are timed by events on their streams,
  /// for stats() and the listener. Not those of calls that are captured, and not when 16 calls are
  /// under way. Allocates and waits for a moment; calls do neither. Calls that block are always
  /// timed: then it is about the listener alone.
  void measure_stages(StageListener listener = {});

  /// Brings stats().seconds up to the calls that the device has finished. Does not wait. Every call
  /// begins with it.
  void collect_stage_times();

  [[nodiscard]] const Plan& plan() const noexcept { return plan_; }
  [[nodiscard]] const Options& options() const noexcept { return options_; }
  [[nodiscard]] const std::string& name() const noexcept { return name_; }
  [[nodiscard]] Stats stats() const;
  [[nodiscard]] const Memory& memory() const noexcept { return memory_; }
  [[nodiscard]] Communicator::Impl& communicator() const noexcept { return *communicator_; }

 private:
  class GroupedCall;

  [[nodiscard]] StateCopy state() const;
  void adopt(StateCopy state);
  /// Of Path::split, and what the roll call has of them.
  struct Ranges {
    std::vector<std::uint64_t> numbers;  // [P + 1] bounds, [P] demand; or none
    std::uint32_t loaded = 0, began = 0;
  };
  [[nodiscard]] Ranges ranges() const;
  void put_ranges(const Ranges& ranges);
  [[nodiscard]] Ranges ranges_of(const StateCopy& state) const;
  [[nodiscard]] RouteContext context() noexcept {
    return {*communicator_, name_, memory_, observer_};
  }

  /// The route of a path, or null where a call has to make it.
  [[nodiscard]] std::unique_ptr<Route> route_of(Path path, const Plan& plan,
                                                const Options& options);
  void take_route(Path path, std::unique_ptr<Route> route);
  [[nodiscard]] std::uint64_t steps() const;
  [[nodiscard]] bool choosing() const;
  void forget_history();
  /// Collective, of ranks that agree about the call: the route is there, and has been entered.
  void make_ready(Stream stream);
  void make_ready_now(bool chooses, Stream stream);
  void make_route_now();
  /// The path of this call, under Path::automatic.
  [[nodiscard]] Path choose_path(Stream stream);

  [[nodiscard]] Call call(Reduction reduction) const;
  void require_arguments(const void* gradient, double loss_scale, Stream stream,
                         const Output& output) const;
  void require_policy(const Options& options) const;
  void require_path_of_sparse() const;
  [[nodiscard]] Step step_of(const void* gradient, double loss_scale, Stream stream);
  void add_bytes(Step& step) const;
  void add_to_open_group(const Run& run);
  /// part(); if it throws, the step is taken back.
  template <class Part>
  void taking_back(const Run& run, const Part& part);
  void take_back(const Run& run) noexcept;
  void require_no_call_in_group() const;
  void prepare(int exchange, const Run& run);
  void exchange(int exchange, const Run& run);
  void finish(const Run& run);
  void require_sound_packets();
  [[nodiscard]] std::size_t conclude();
  [[nodiscard]] std::size_t conclude_enqueued(const Run& run);
  [[noreturn]] void reject_packet(const Verdict& verdict);

  [[nodiscard]] Backend& backend() noexcept { return communicator_->backend(); }

  std::shared_ptr<Communicator::Impl> communicator_;
  std::string name_;
  HashedName hashed_name_;
  Options options_;
  Plan plan_;
  std::uint64_t dense_bytes_ = 0;  // dense_bytes(plan_)
  Memory memory_;
  bool in_group_ = false;     // a call waits for its group to end
  std::uint32_t number_ = 0;  // of the tensor, at its communicator
  Backend::Buffer residual_{nullptr, nullptr};
  Backend::Buffer counters_{nullptr, nullptr};  // step, call
  Backend::Buffer totals_{nullptr, nullptr};
  Backend::Buffer report_{nullptr, nullptr};
  History history_;
  Communicator::Impl::Roll roll_;
  Observer observer_;
  Path path_ = Path::automatic;       // that was asked for or chosen; automatic: not chosen yet
  std::unique_ptr<Route> route_;      // its; null: made by the next call, which is collective
  bool entered_ = false;              // by route_
  std::uint32_t loaded_ranges_ = 0;   // Call::course of ranges that came with a state, or 0
  std::uint32_t route_began_ = 0;     // Call::route_began
  std::optional<PathChoice> choice_;  // under Path::automatic, once a call was made
  const char* unchosen_ = "";         // why there is a path without a choice
  StageListener stage_listener_;
  StageSeconds seconds_, last_seconds_;
};

}  // namespace sparccl
