// The stages of a step: their data and their signatures, once for all backends.
//
// A tensor is cut into blocks of 65,536 entries. A list of entries is, in position order: how many
// lie in each block, their 16-bit offsets in it, and their values. Candidates, packets and history
// all have this form.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include <sparccl/sparccl.hpp>

namespace sparccl {

inline constexpr std::size_t block_size = 65'536;

/// Validated sizes and types of one tensor on one rank (plugin/plan.hpp makes it); everything else
/// derives from it.
struct Plan {
  std::size_t count = 0;  ///< n, at least 1
  std::size_t k = 0;      ///< entries sent per step, in [1, n]
  int world_size = 1;
  int rank = 0;
  DataType type = DataType::float32;  ///< of gradient and result
  DataType wire = DataType::float32;  ///< of the values in a packet
  double mu = 0;
  Distortion distortion = Distortion::previous;
  bool exact = true;  ///< false: packets may hold fewer entries, and any value (SparseAllgather)

  /// Residual, scores and sums: float64 for float64 tensors, float32 for the others.
  [[nodiscard]] DataType accumulator() const noexcept {
    return type == DataType::float64 ? DataType::float64 : DataType::float32;
  }
  [[nodiscard]] std::size_t blocks() const noexcept {
    return count / block_size + (count % block_size != 0 ? 1 : 0);
  }
  [[nodiscard]] std::size_t sparse_capacity() const noexcept {  // min(n, P k) without overflow
    return k > count / static_cast<std::size_t>(world_size)
               ? count
               : k * static_cast<std::size_t>(world_size);
  }
};

/// What a rank remembers between steps. Backend memory.
struct Memory {
  void* residual = nullptr;                 // [count] accumulator: what was never sent
  std::uint32_t* sent_per_block = nullptr;  // [blocks]: the positions sent last step, and there
  std::uint16_t* sent_offsets = nullptr;    // [k]
  void* sent_ratios = nullptr;              // [k] accumulator: |r|, or under Distortion::current
};                                          //   the sum of what the other ranks sent

/// One rank's packet, taken apart by plugin/wire. Backend memory.
struct Packet {
  const void* identity = nullptr;  // the bytes that are the same in every rank's packet
  std::size_t identity_bytes = 0;
  std::uint32_t* flags = nullptr;      // packet_non_finite or 0
  std::uint64_t* entries = nullptr;    // entries in this packet: k, or 0 if non-finite
  std::uint32_t* per_block = nullptr;  // [blocks]
  std::uint16_t* offsets = nullptr;    // [k], strictly ascending within a block
  void* values = nullptr;              // [k] wire type
};

inline constexpr std::uint32_t packet_non_finite = 1;

/// One call's input.
struct Step {
  const void* gradient = nullptr;  // [count] type, backend memory
  double scale = 1.0;              // 1 / loss_scale
  std::uint64_t seed = 0;          // of the sample; the outcome does not depend on it
  Stream stream = nullptr;
};

/// Where a call's result goes: dense, or (positions, values).
struct Output {
  void* dense = nullptr;                 // [count] type
  std::uint64_t* positions = nullptr;    // [sparse_capacity]
  void* values = nullptr;                // [sparse_capacity] type
  Reduction reduction = Reduction::sum;  // sum or avg
};

/// What check() found, and which rank is to blame.
struct Verdict {
  enum class Kind { sum, non_finite, bad_packet } kind = Kind::sum;
  int rank = -1;
  const char* problem = "";  // of a bad packet
};

/// Counts of one step, for Stats.
struct StepCounts {
  std::uint64_t candidates = 0;
  std::uint64_t fallbacks = 0;
};

/// The stages over one kind of memory. Nothing here allocates but allocate(); all work is enqueued
/// on step.stream, in order.
class Backend {
 public:
  virtual ~Backend() = default;

  using Buffer = std::unique_ptr<void, void (*)(void*)>;

  /// Zeroed, aligned to 64 bytes. Throws Error(system_error) naming the size.
  [[nodiscard]] virtual Buffer allocate(std::size_t bytes) = 0;

  /// Scratch that the stages need besides Memory and packets.
  [[nodiscard]] virtual std::size_t workspace_bytes(const Plan& plan) const = 0;

  /// residual += scale * gradient; candidates for the k largest scores |a| d (see formulas.hpp)
  /// move out of it into the workspace. A non-finite sum leaves the residual as it was and marks
  /// the step.
  virtual void accumulate(const Plan& plan, const Step& step, const Memory& memory,
                          void* workspace) = 0;

  /// Exactly k of the candidates: the largest scores, ties to the lower position. The others return
  /// to the residual. Collects again if the candidates do not prove to hold the k largest.
  virtual void select(const Plan& plan, const Step& step, const Memory& memory,
                      void* workspace) = 0;

  /// What was selected, rounded to the wire type, in position order; what the rounding leaves over
  /// returns to the residual.
  virtual void pack(const Plan& plan, const Step& step, const Memory& memory, void* workspace,
                    const Packet& outgoing) = 0;

  /// packets: [world_size]. Trusts no byte of them but this rank's own. Writes nothing.
  virtual Verdict check(const Plan& plan, std::span<const Packet> packets) = 0;

  /// Undoes pack and accumulate of the same step: the residual is what it was before, to 1 ulp of
  /// the larger of it, the scaled gradient, and their sum.
  virtual void restore(const Plan& plan, const Step& step, const Memory& memory,
                       void* workspace) = 0;

  /// The reduction of the packets in rank order, after a verdict of sum: result and history. After
  /// non_finite: the result is NaN, the history stays. Returns the entries of a sparse output.
  virtual std::size_t merge(const Plan& plan, const Step& step, const Memory& memory,
                            void* workspace, std::span<const Packet> packets,
                            const Verdict& verdict, const Output& output) = 0;

  /// Counts of the last accumulate and select.
  [[nodiscard]] virtual StepCounts counts(const Plan& plan, const void* workspace) const = 0;
};

[[nodiscard]] std::unique_ptr<Backend> make_host_backend();

}  // namespace sparccl
