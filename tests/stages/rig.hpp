// One rank's memory around a Backend, so that its stages can be called one by one.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "number.hpp"
#include "oracle.hpp"
#include "stages.hpp"
#include "wire.hpp"

namespace sparccl::test {

/// A backend to test.
struct BackendCase {
  std::string name;
  std::function<std::unique_ptr<Backend>()> make;
  /// Positions of the entries that its sample reads.
  std::function<Positions(const Plan& plan, std::uint64_t seed)> sampled;
  /// Whether an entry that equals the bound is a candidate, or only what is above.
  bool takes_the_bound = true;
};

/// Every backend that runs here: the host's, once for each instruction set that the processor has,
/// or those of devices, by which file the test is linked with (backends_*.cpp).
[[nodiscard]] std::vector<BackendCase> backends();

/// Long loops are shared out where the same test runs under several schedules of the stand-in
/// (SPARCCL_SIMT_SEED, 0 to 7): whether the i-th turn is this run's. of: 8 for a test that has all
/// schedules, 2 for one of an element type. Where only some schedules run, some turns are nobody's.
/// Elsewhere every turn is taken.
[[nodiscard]] bool my_turn(std::size_t i, std::size_t of);

[[nodiscard]] Plan plan_of(const Shape& shape, int rank = 0);

using Bytes = std::vector<std::byte>;

struct Merged {
  DataType type = DataType::float32;
  Bytes bytes;          // of a dense result
  Positions positions;  // of a sparse one
  Vector values;
  bool canaries = true;  // nothing was written beside the output

  [[nodiscard]] Vector dense() const {
    return to_doubles(type, bytes.data(), bytes.size() / size_of(type));
  }
};

class Rig {
 public:
  Rig(const BackendCase& where, const Plan& plan);

  /// accumulate, select, pack into this rank's slot.
  void produce(const Vector& gradient, double scale = 1.0, std::uint64_t seed = 0);
  void accumulate(const Vector& gradient, double scale = 1.0, std::uint64_t seed = 0);
  void select() { backend_->select(plan_, step_, memory_, work_.get()); }
  void pack();
  [[nodiscard]] std::uint64_t tell_finite();
  void hear_finite(const std::vector<std::uint64_t>& flags);

  /// Copies another rank's packet into this rank's slot for it.
  void receive(const Rig& from);

  [[nodiscard]] Verdict check();
  void restore() { backend_->restore(plan_, step_, memory_, work_.get()); }

  enum class Into { dense, in_place, sparse };
  /// After check(), whose verdict the backend remembers.
  [[nodiscard]] Merged merge(const Verdict& verdict, Into into = Into::dense,
                             Reduction reduction = Reduction::sum, std::size_t shift = 0);

  [[nodiscard]] const Plan& plan() const { return plan_; }
  [[nodiscard]] const Packet& packet(int rank) const { return packets_[index(rank)]; }
  [[nodiscard]] Bytes slot(int rank) const;
  void set_slot(int rank, const Bytes& bytes);
  [[nodiscard]] Positions positions(int rank) const;
  [[nodiscard]] Vector values(int rank) const;
  [[nodiscard]] std::uint64_t entries(int rank) const;
  [[nodiscard]] std::uint32_t flags(int rank) const;

  [[nodiscard]] Vector residual() const;
  void set_residual(const Vector& values);
  [[nodiscard]] Bytes history() const;
  [[nodiscard]] StepCounts counts() const { return backend_->counts(plan_, work_.get()); }
  [[nodiscard]] const Report& report() const { return *memory_.report; }

 private:
  static std::size_t index(int rank) { return static_cast<std::size_t>(rank); }
  void upload(void* to, const void* from, std::size_t bytes);
  template <class T>
  [[nodiscard]] std::vector<T> download(const T* from, std::size_t count) const;
  [[nodiscard]] std::byte* slot_begin(int rank) const;

  BackendCase where_;
  std::unique_ptr<Backend> backend_;
  Plan plan_;
  std::size_t packet_bytes_;
  Backend::Buffer residual_, per_block_, offsets_, ratios_, work_, slots_, gradient_, steps_,
      totals_, report_;
  Memory memory_;
  std::vector<Packet> packets_;
  Step step_;
};

/// Exchanges the packets of ranks that have produced.
void exchange(std::vector<Rig>& ranks);

}  // namespace sparccl::test
