// The insides of a SparseAllreduce: plan, memory, workspace, run.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <sparccl/sparccl.hpp>

#include "communicator.hpp"
#include "observation.hpp"
#include "stages.hpp"
#include "state.hpp"
#include "wire.hpp"

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
  /// Scratch and packets of a plan.
  struct Work {
    wire::Layout layout;
    Backend::Buffer scratch{nullptr, nullptr};
    std::size_t scratch_bytes = 0;
    Backend::Buffer slots{nullptr, nullptr};  // [P] packets; this rank packs into its own slot
    std::vector<Packet> packets;              // [P] views of the slots
    Communicator::Impl::Roll roll;
  };

  /// One call: what goes in, where it comes out.
  struct Run {
    Step step;
    Output output;
  };
  class GroupedCall;

  // What observers are told: profilers by ranges, the clock by laps.
  template <class Part>
  void in_range(Stage stage, const Part& part);
  /// in_range(), and the clock: that was the stage.
  template <class Part>
  void timed(Stage stage, const Part& part);
  void begin_clock(Stream stream);
  void skip_clock();

  [[nodiscard]] StateCopy state() const;
  void adopt(const StateCopy& state);
  [[nodiscard]] Work make_work(const Plan& plan) const;
  [[nodiscard]] std::byte* slot(int rank) const;
  [[nodiscard]] Call call(Reduction reduction) const;
  void require_arguments(const void* gradient, double loss_scale, Stream stream,
                         const Output& output) const;
  void require_policy(const Options& options) const;
  [[nodiscard]] Step step_of(const void* gradient, double loss_scale, Stream stream);
  void add_to_open_group(const Run& run);
  /// part(); if it throws, the step is taken back.
  template <class Part>
  void taking_back(const Run& run, const Part& part);
  void take_back(const Run& run) noexcept;
  void require_no_call_in_group() const;
  void prepare(const Run& run);
  void exchange(const Run& run);
  void finish(const Run& run);
  [[nodiscard]] std::size_t conclude();
  [[nodiscard]] std::size_t conclude_enqueued(const Run& run);
  [[noreturn]] void reject_packet(const Verdict& verdict);

  [[nodiscard]] Backend& backend() noexcept { return communicator_->backend(); }
  [[nodiscard]] void* scratch() noexcept { return work_.scratch.get(); }
  [[nodiscard]] const Packet& outgoing() const noexcept {
    return work_.packets[static_cast<std::size_t>(plan_.rank)];
  }

  std::shared_ptr<Communicator::Impl> communicator_;
  std::string name_;
  Options options_;
  Plan plan_;
  Memory memory_;
  bool in_group_ = false;     // a call waits for its group to end
  std::uint32_t number_ = 0;  // of the tensor, at its communicator
  Backend::Buffer residual_{nullptr, nullptr};
  Backend::Buffer counters_{nullptr, nullptr};  // step, call
  Backend::Buffer totals_{nullptr, nullptr};
  Backend::Buffer report_{nullptr, nullptr};
  History history_;
  Work work_;
  std::unique_ptr<StageClock> clock_;  // null: calls are not timed
  StageListener stage_listener_;
  StageSeconds seconds_, last_seconds_;
};

template <class Part>
void SparseAllreduce::Impl::in_range(Stage stage, const Part& part) {
  const Range range(backend(), name_of(stage));
  part();
}

template <class Part>
void SparseAllreduce::Impl::timed(Stage stage, const Part& part) {
  in_range(stage, part);
  if (clock_ != nullptr) clock_->lap(stage);
}

}  // namespace sparccl
