// One rank's tensor on a bare backend, with the packets of all ranks: what the benchmarks time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "stages.hpp"
#include "state.hpp"

namespace sparccl::bench {

class Tensor {
 public:
  /// float32 throughout.
  Tensor(Backend& backend, const Plan& plan);

  /// The stages of a step, as SparseAllreduce calls them; all on `stream`.
  void accumulate(const float* gradient, Stream stream = nullptr);
  void select();
  void pack(int rank = 0);  ///< into the packet of that rank
  void check();
  void restore();
  void merge(float* result);

  /// The exchange of descriptors that comes before, every rank's being the same.
  void announce(Stream stream = nullptr);
  void verify(Stream stream = nullptr);

  /// The peers' packets, made once, become packets of the step that is under way. Blocks.
  void renew_packets();

  /// Throws unless the last verdict was a sum, for a benchmark must not time the way out. Waits.
  void require_sum();

  void zero_residual();

  [[nodiscard]] float* residual() const { return static_cast<float*>(memory_.residual); }
  [[nodiscard]] const std::vector<Packet>& packets() const { return packets_; }
  [[nodiscard]] const Plan& plan() const { return plan_; }
  [[nodiscard]] StepCounts counts() const { return backend_.counts(plan_, scratch_.get()); }
  [[nodiscard]] const Report& report() const { return *memory_.report; }
  /// Of history, scratch and packets, besides the residual.
  [[nodiscard]] double extra_bytes_per_entry() const;

 private:
  Backend& backend_;
  Plan plan_;
  std::size_t packet_bytes_;
  Memory memory_;
  Backend::Buffer residual_, step_count_, totals_, report_, scratch_, slots_, roll_slots_, refused_,
      trouble_;
  History history_;
  std::vector<Packet> packets_;
  std::vector<std::byte> descriptor_;
  RollCall roll_;
  Step step_;
};

}  // namespace sparccl::bench
