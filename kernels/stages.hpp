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

#include "formulas.hpp"
#include "stage_clock.hpp"

namespace sparccl {

inline constexpr std::size_t block_size = 65'536;

/// Validated sizes and types of one tensor on one rank (plugin/plan.hpp makes it); everything else
/// derives from it.
struct Plan {
  std::size_t count = 0;  ///< n, at least 1
  std::size_t k = 0;      ///< entries sent per step, in [1, n]
  int world_size = 1;
  int rank = 0;
  int averaged = 0;  ///< ranks that Reduction::avg divides by, where it is not world_size; or 0
  DataType type = DataType::float32;  ///< of gradient and result
  DataType wire = DataType::float32;  ///< of the values in a packet
  double mu = 0;
  Distortion distortion = Distortion::previous;
  bool exact = true;   ///< false: packets may hold fewer entries
  bool finite = true;  ///< false: their values may be anything

  /// Residual, scores and sums: float64 for float64 tensors, float32 for the others.
  [[nodiscard]] DataType accumulator() const noexcept {
    return type == DataType::float64 ? DataType::float64 : DataType::float32;
  }
  [[nodiscard]] int divisor(Reduction reduction) const noexcept {
    return reduction != Reduction::avg ? 1 : averaged != 0 ? averaged : world_size;
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

/// Path::split: positions are cut into a range for each rank, which reduces what falls into it.
/// plugin/split_plan.hpp makes it. Bounds of the ranges are Memory::bounds.
struct SplitPlan {
  Plan whole;             ///< of the tensor: what a rank selects
  Plan sent;              ///< of the packets to a range's owner: count is the longest range
  Plan reduced;           ///< of the packets with what an owner has reduced
  bool balances = false;  ///< whether the bounds move: to equal numbers of entries
};

/// Steps with a verdict of sum after which the ranges of a SplitPlan are balanced.
inline constexpr std::uint64_t balance_every = 256;

/// What check() found in the packets of a step.
enum class Problem : std::uint32_t {
  none = 0,
  header,       ///< its header is not one of this call
  flags,        ///< unknown flags
  entries,      ///< it does not hold k entries
  table_over,   ///< its block table counts more entries than there are
  position,     ///< a position lies outside the tensor or out of order
  table_under,  ///< its block table counts fewer entries than it holds
  value,        ///< a value is not finite
};
[[nodiscard]] const char* text_of(Problem problem) noexcept;

struct Verdict {
  enum class Kind : std::uint32_t {
    pending = 0,  ///< the packets have not been checked
    sum,          ///< all packets are sound and finite
    non_finite,   ///< sound, and `rank` is the first whose gradient was not finite
    bad_packet,   ///< `rank` is the first that sent something else
    refused,      ///< the ranks disagree about the call (Trouble says how): nothing was done
  };
  Kind kind = Kind::pending;
  std::int32_t rank = -1;
  Problem problem = Problem::none;
};

/// What the finished steps of a tensor came to. Memory that backend and host both reach
/// (Backend::allocate_shared): on CUDA it is written as steps finish, and read without waiting.
struct Report {
  Verdict verdict;          // of the last step
  std::uint64_t steps = 0;  // verdicts of sum and non_finite; the counts below are theirs
  std::uint64_t non_finite_steps = 0;
  std::uint64_t entries = 0;     // sent by this rank
  std::uint64_t candidates = 0;  // that passed the filter of the fused pass
  std::uint64_t fallbacks = 0;
  std::uint64_t wire_bytes = 0;
  std::uint64_t dense_bytes = 0;
  std::uint64_t last_entries = 0;
  std::uint64_t last_candidates = 0;
  std::uint64_t written = 0;  // entries of the last sparse output
};

/// What ended the use of a communicator, found by a kernel. Shared memory like Report. `kind` is
/// written last, and once: the first trouble stays. See is_set() in plugin/communicator.hpp.
struct Trouble {
  static constexpr std::size_t descriptor_bytes = 144;
  static constexpr std::uint32_t being_written = 0xffffffffu;  // of kind, for a moment
  Verdict::Kind kind = Verdict::Kind::pending;  // bad_packet or refused; pending: none
  std::int32_t rank = -1;
  Problem problem = Problem::none;
  std::uint32_t tensor = 0;                      // Step::tensor, of a bad packet
  std::byte descriptors[2][descriptor_bytes]{};  // refused: what rank 0 and `rank` were about to do
};

/// What a rank remembers between steps. Backend memory, but for the report.
struct Memory {
  void* residual = nullptr;                 // [count] accumulator: what was never sent
  std::uint32_t* sent_per_block = nullptr;  // [blocks]: the positions sent last step, and there
  std::uint16_t* sent_offsets = nullptr;    // [k]
  void* sent_ratios = nullptr;              // [k] accumulator: |r|, or under Distortion::current
                                            //   the sum of what the other ranks sent
  std::uint64_t* step = nullptr;            // [1] steps with a verdict of sum
  std::uint64_t* call = nullptr;  // [1] packets checked: the number that the next one bears
  Report* totals = nullptr;       // [1] what the report is made of
  Report* report = nullptr;       // [1] shared: written, never read, by the backend
  // Of Path::split alone:
  std::uint64_t* bounds = nullptr;  // [P + 1] of the ranges: 0, ..., count. Ascending
  std::uint64_t* demand = nullptr;  // [P] entries wanted in each range since they were balanced
};

/// One rank's packet, taken apart by plugin/wire. Backend memory.
struct Packet {
  const void* identity = nullptr;  // the bytes that are the same in every rank's packet
  std::size_t identity_bytes = 0;
  std::uint64_t* call = nullptr;       // inside of identity
  std::uint32_t* flags = nullptr;      // packet_non_finite or 0
  std::uint64_t* entries = nullptr;    // entries in this packet: k, or 0 if non-finite
  std::uint32_t* per_block = nullptr;  // [blocks]
  std::uint16_t* offsets = nullptr;    // [k], strictly ascending within a block
  void* values = nullptr;              // [k] wire type
  // Of a SplitPlan's packets alone:
  std::uint64_t* wanted = nullptr;  // entries selected in the range, those that found no room
                                    //   included; in a reduced packet of all ranks
  std::uint32_t* blame = nullptr;   // of a reduced packet: blame_of() the first packet with flags
};

inline constexpr std::uint32_t packet_non_finite = 1;
/// Of a reduced packet: what one rank sent to its owner was not sound.
inline constexpr std::uint32_t packet_bad = 2;

/// Rank and problem in 32 bits.
SPARCCL_HOST_DEVICE constexpr std::uint32_t blame_of(std::int32_t rank, Problem problem) {
  return static_cast<std::uint32_t>(rank) << 8 | static_cast<std::uint32_t>(problem);
}

/// One call's input.
struct Step {
  const void* gradient = nullptr;  // [count] type, backend memory
  double scale = 1.0;              // 1 / loss_scale
  Stream stream = nullptr;
  std::uint64_t wire_bytes = 0;  // what the report counts for this step
  std::uint64_t dense_bytes = 0;
  // Of an asynchronous communicator, null or 0 elsewhere:
  const std::uint32_t* refused = nullptr;  // backend memory, by verify(): not 0: do nothing
  Trouble* trouble = nullptr;              // shared
  std::uint32_t tensor = 0;                // for Trouble
};

/// Where a call's result goes: dense, or (positions, values). Backend memory.
struct Output {
  void* dense = nullptr;                 // [count] type
  std::uint64_t* positions = nullptr;    // [sparse_capacity]
  void* values = nullptr;                // [sparse_capacity] type
  Reduction reduction = Reduction::sum;  // sum or avg
};

/// Counts of one step.
struct StepCounts {
  std::uint64_t candidates = 0;
  std::uint64_t fallbacks = 0;
};

/// The descriptors of all ranks' calls, gathered before anything else is exchanged.
struct RollCall {
  std::byte* slots = nullptr;        // [world_size][Trouble::descriptor_bytes], backend memory
  std::uint32_t* refused = nullptr;  // [1] backend memory
  int rank = 0;
  int world_size = 1;
};

/// The stages over one kind of memory. Nothing here allocates but allocate*(); all work is enqueued
/// on the stream, in order, and may be captured in a CUDA graph. On hosts it is done on return.
class Backend {
 public:
  virtual ~Backend() = default;

  using Buffer = std::unique_ptr<void, void (*)(void*)>;

  /// Zeroed, aligned to 64 bytes. Throws Error(system_error) naming the size.
  [[nodiscard]] virtual Buffer allocate(std::size_t bytes) = 0;

  /// The same, reached by this backend and by the host.
  [[nodiscard]] virtual Buffer allocate_shared(std::size_t bytes) = 0;

  /// Host memory to this backend's and back. Blocks; not ordered with any stream (see finish).
  virtual void upload(void* to, const void* from, std::size_t bytes) = 0;
  virtual void download(void* to, const void* from, std::size_t bytes) const = 0;

  /// Waits for all that was enqueued on the stream, or on all streams.
  virtual void finish(Stream stream) = 0;
  virtual void finish_all() = 0;

  /// What this backend's memory is called in messages: "host memory", "memory of CUDA device 1".
  [[nodiscard]] virtual const char* memory_name() const noexcept = 0;

  /// Throw Error(invalid_argument), `what` first, on a pointer to memory that is not this backend's
  /// or a stream that cannot be used with it.
  virtual void require_memory(const void* pointer, const char* what) const = 0;
  virtual void require_stream(Stream stream) const = 0;

  /// Scratch that the stages need besides Memory and packets.
  [[nodiscard]] virtual std::size_t workspace_bytes(const Plan& plan) const = 0;

  /// Writes this rank's descriptor into its slot of the roll: `descriptor` with *step (if not null)
  /// stored at byte `step_offset`.
  virtual void announce(const RollCall& roll, const void* descriptor, const std::uint64_t* step,
                        std::size_t step_offset, Stream stream) = 0;

  /// *roll.refused becomes 1 if the descriptor of any rank differs from rank 0's, else 0. If so and
  /// trouble is not null, it is told which rank was the first.
  virtual void verify(const RollCall& roll, Trouble* trouble, Stream stream) = 0;

  /// residual += scale * gradient; candidates for the k largest scores |a| d (see formulas.hpp)
  /// move out of it into the workspace. A sum that is not finite marks the step. The sample is
  /// seeded by *memory.step; the outcome does not depend on it.
  virtual void accumulate(const Plan& plan, const Step& step, const Memory& memory,
                          void* workspace) = 0;

  /// Exactly k of the candidates: the largest scores, ties to the lower position. The others return
  /// to the residual. Collects again if the candidates do not prove to hold the k largest.
  virtual void select(const Plan& plan, const Step& step, const Memory& memory,
                      void* workspace) = 0;

  /// What was selected, rounded to the wire type, in position order; what the rounding leaves over
  /// returns to the residual. Writes all of the packet but its identity, of which only
  /// *memory.call: no packet of an earlier call, finite or not, passes for one of this.
  virtual void pack(const Plan& plan, const Step& step, const Memory& memory, void* workspace,
                    const Packet& outgoing) = 0;

  /// packets: [world_size]. Trusts no byte of them but this rank's own. The verdict goes to the
  /// workspace and the report; a verdict of sum advances *memory.step, any advances *memory.call, a
  /// bad packet is told to step.trouble.
  virtual void check(const Plan& plan, const Step& step, const Memory& memory, void* workspace,
                     std::span<const Packet> packets) = 0;

  /// Nothing after a verdict of sum. Else undoes pack and accumulate of the same step: the residual
  /// is what it was before, to 1 ulp of the larger of it, the scaled gradient, and their sum.
  virtual void restore(const Plan& plan, const Step& step, const Memory& memory,
                       void* workspace) = 0;

  /// After a verdict of sum: the reduction of the packets in rank order; result and history. After
  /// any other: the result is NaN (of a sparse output, one entry), the history stays. The entries
  /// of a sparse output go to the report.
  virtual void merge(const Plan& plan, const Step& step, const Memory& memory, void* workspace,
                     std::span<const Packet> packets, const Output& output) = 0;

  // Path::split, after pack(), whose packet `own` stays here.

  /// Scratch for these three, besides workspace_bytes(split.whole).
  [[nodiscard]] virtual std::size_t split_bytes(const SplitPlan& split) const = 0;

  /// own's entries to a packet for each range: outgoing [world_size]. Where a range has more than
  /// split.sent.k of them, those of largest |value| go, ties to the lower position; the others
  /// return to the residual and leave own.
  virtual void scatter(const SplitPlan& split, const Step& step, const Memory& memory,
                       void* workspace, void* scratch, const Packet& own,
                       std::span<const Packet> outgoing) = 0;

  /// incoming: [world_size] what the ranks sent to this rank's range. Trusts no byte of it. Their
  /// sum in rank order, of which the split.reduced.k entries of largest |sum|, ties to the lower
  /// position, go to outgoing; or, if a packet is bad or not finite, who sent it.
  virtual void reduce(const SplitPlan& split, const Step& step, const Memory& memory,
                      void* workspace, void* scratch, std::span<const Packet> incoming,
                      const Packet& outgoing) = 0;

  /// reduced: [world_size]. What check() does, for them.
  virtual void judge(const SplitPlan& split, const Step& step, const Memory& memory,
                     void* workspace, void* scratch, std::span<const Packet> reduced) = 0;

  /// After restore(). What merge() does: result and history, or NaN. An entry of own that was not
  /// reduced returns to the residual; the others count as sent. Adds to memory.demand, and balances
  /// the ranges when it is time.
  virtual void join(const SplitPlan& split, const Step& step, const Memory& memory, void* workspace,
                    void* scratch, const Packet& own, std::span<const Packet> reduced,
                    const Output& output) = 0;

  // Path::dense.

  /// send: [count] type: residual + scale * gradient, rounded to it. Nothing else changes.
  virtual void prepare_dense(const Plan& plan, const Step& step, const Memory& memory,
                             void* send) = 0;

  /// sum: [count] type, of all ranks' `send`. If it is finite: the residual keeps what the rounding
  /// of `send` left over and the history is empty. Else neither changes. The result is the sum in
  /// any case, as of a rank that sent its gradient as it is. Verdict and report as of check(), on
  /// hosts without the entries that were beyond the type's largest number; the
  /// step advances, as count_dense()'s does. output: dense, may be the gradient, not `sum`.
  virtual void conclude_dense(const Plan& plan, const Step& step, const Memory& memory,
                              void* workspace, const void* sum, const Output& output) = 0;

  /// The report and step of a dense allreduce that took neither residual nor verdict.
  virtual void count_dense(const Plan& plan, const Step& step, const Memory& memory,
                           void* workspace) = 0;

  // Path::hierarchical.

  /// Between accumulate() and select(): 1 to *flag if this rank's sum was not finite, else 0.
  virtual void tell_finite(const Plan& plan, const Step& step, void* workspace,
                           std::uint64_t* flag) = 0;

  /// If any of the flags [size] is not 0, this rank's step is as if its own sum had not been
  /// finite.
  virtual void hear_finite(const Plan& plan, const Step& step, const Memory& memory,
                           void* workspace, const std::uint64_t* flags, std::size_t size) = 0;

  /// to[i] = scale * from[i], rounded once; types are floating-point ones. Not aliased.
  virtual void convert(void* to, DataType to_type, const void* from, DataType from_type,
                       std::size_t count, double scale, Stream stream) = 0;

  /// Within this backend's memory. copy: disjoint.
  virtual void copy(void* to, const void* from, std::size_t bytes, Stream stream) = 0;
  virtual void clear(void* memory, std::size_t bytes, Stream stream) = 0;

  /// Counts of the last accumulate and select. Waits for them.
  [[nodiscard]] virtual StepCounts counts(const Plan& plan, const void* workspace) const = 0;

  /// What the calling thread does in between has this name in a profiler. They nest.
  virtual void begin_range(const char*) noexcept {}
  virtual void end_range() noexcept {}

  /// For a tensor whose calls return before they are done. Null where that is never so. Allocates.
  [[nodiscard]] virtual std::unique_ptr<StageClock> make_stage_clock() { return nullptr; }
};

[[nodiscard]] std::unique_ptr<Backend> make_host_backend();

/// What Backend::check() would find in packets that lie in host memory.
[[nodiscard]] Verdict check_on_host(const Plan& plan, std::span<const Packet> packets);

}  // namespace sparccl
