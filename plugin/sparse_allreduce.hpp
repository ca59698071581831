// The insides of a SparseAllreduce: plan, memory, workspace, run.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <sparccl/sparccl.hpp>

#include "communicator.hpp"
#include "stages.hpp"
#include "wire.hpp"

namespace sparccl {

class SparseAllreduce::Impl {
 public:
  Impl(std::shared_ptr<Communicator::Impl> communicator, std::string name, std::size_t count,
       DataType type, const Options& options);

  /// One step; see SparseAllreduce::operator(). Returns the entries of a sparse output.
  std::size_t run(const void* gradient, double loss_scale, Stream stream, const Output& output);

  void set_options(const Options& options);  // density and k, from the next step on
  void save(const std::filesystem::path& path) const;
  void load(const std::filesystem::path& path);

  [[nodiscard]] const Plan& plan() const noexcept { return plan_; }
  [[nodiscard]] const Options& options() const noexcept { return options_; }
  [[nodiscard]] const std::string& name() const noexcept { return name_; }
  [[nodiscard]] const Stats& stats() const noexcept { return stats_; }
  [[nodiscard]] const Memory& memory() const noexcept { return memory_; }

 private:
  void allocate_workspace();
  [[noreturn]] void reject_packet(const Verdict& verdict);
  void record(const StageSeconds& seconds, const Verdict& verdict);

  std::shared_ptr<Communicator::Impl> communicator_;
  std::string name_;
  Options options_;
  Plan plan_;
  wire::Layout layout_;
  Backend::Buffer residual_;
  Backend::Buffer history_;
  Backend::Buffer workspace_;
  Backend::Buffer slots_;         // [P] packets; this rank's own is packed in its slot
  Memory memory_;
  std::size_t history_capacity_ = 0;
  std::vector<Packet> packets_;   // [P] views of slots_
  std::uint64_t step_ = 0;
  Stats stats_;
};

}  // namespace sparccl
