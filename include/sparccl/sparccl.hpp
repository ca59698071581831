// The C++ API: one Communicator per rank, one SparseAllreduce per tensor, one call per step.
//
//   auto ranks = sparccl::Communicator::local(4);             // or sparccl::mpi_communicator(...)
//   sparccl::SparseAllreduce fc1(ranks[r], "fc1.weight", n, sparccl::DataType::float32);
//   fc1(gradient, result);                                    // every step, on every rank
//
// A Communicator and all that is bound to it belong to one thread at a time; only abort() and
// async_error() may be called from another. Everything here throws sparccl::Error.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include <sparccl/schedule.hpp>
#include <sparccl/types.hpp>

namespace sparccl {

/// Passed through to the backend: a cudaStream_t on CUDA, nullptr on hosts.
using Stream = void*;

/// How a tensor is sparsified. Equal on every rank, or the first call throws Result::mismatch.
struct Options {
  /// Share of the entries that each rank sends per step, in (0, 1]: k = max(1, round(density n)).
  double density = 0.001;
  /// Number of entries that each rank sends per step, in [1, n]; overrides density.
  std::optional<std::uint64_t> k = {};
  /// RegTop-k's mu, >= 0 and finite: how strongly entries that the other ranks cancelled last step
  /// are held back. 0 is Top-k. arXiv 2409.14893.
  double mu = 2.0;
  Distortion distortion = Distortion::previous;
  /// Type of the values on the wire; unset: the type of the tensor. What the rounding to a
  /// narrower type leaves over stays in the residual. float64 only for float64 tensors.
  std::optional<DataType> wire = {};
  /// sum or avg. An avg divides the sum by the number of ranks.
  Reduction reduction = Reduction::sum;
  NonFinite non_finite = NonFinite::propagate;
  /// How entries reach the other ranks. The same inputs give the same bits in every run, but under
  /// automatic: it goes by measured costs, which differ from run to run.
  Path path = Path::allgather;
};

struct CommunicatorOptions {
  /// How long a call waits for a rank that has not arrived, or over MPI for a transfer under way,
  /// before it throws Result::timeout. 0 waits for ever, as NCCL and MPI do.
  std::uint64_t timeout_ms = 0;
  /// Ranks r / ranks_per_node of equal value share a node, the same on every rank: for
  /// Path::hierarchical, the cost model. 0: as the transport finds them: by shared memory over MPI,
  /// by hosts over NCCL, all on one for threads.
  int ranks_per_node = 0;
  /// Where the costs that Path::automatic goes by come from: "probe" measures them at the first
  /// call that needs them; "off" takes Path::allgather for granted; anything else is a file that
  /// sparccl_plan --probe wrote. Empty: the variable SPARCCL_CALIBRATION, or probe.
  std::string calibration = {};
};

class Backend;
class Transport;

/// One rank's end of a group of ranks. A cheap handle: copies are the same communicator, and a
/// SparseAllreduce keeps its communicator alive.
class SPARCCL_API Communicator {
 public:
  /// One communicator for each of `world_size` ranks that are threads of this process. Calls block
  /// until every rank has called, so each needs a thread of its own.
  [[nodiscard]] static std::vector<Communicator> local(int world_size,
                                                       const CommunicatorOptions& options = {});

  /// For transports and backends outside this library; see mpi.hpp, nccl.hpp and cuda.hpp for the
  /// usual ones. Without a backend: tensors in host memory. Of the options a communicator looks at
  /// nodes and calibration; the timeout is the transport's.
  explicit Communicator(std::unique_ptr<Transport> transport,
                        const CommunicatorOptions& options = {});
  Communicator(std::unique_ptr<Transport> transport, std::unique_ptr<Backend> backend,
               const CommunicatorOptions& options = {});

  [[nodiscard]] int rank() const noexcept;
  [[nodiscard]] int size() const noexcept;

  /// Dense allreduce, every type and reduction. send, recv: [count], memory of this communicator's
  /// kind, equal or disjoint. Blocks, but over NCCL, where it is enqueued on the stream. An avg of
  /// integers truncates towards zero, as NCCL's. May allocate. After a failure other than mismatch
  /// and invalid_argument, MPI may go on using the buffers: do not free them.
  void all_reduce(const void* send, void* recv, std::size_t count, DataType type,
                  Reduction reduction, Stream stream = nullptr);

  /// Ends the calls of this rank that wait for a rank which has not arrived: they and all later
  /// calls throw Result::aborted. Ranks that wait for this one are told and throw, too (over MPI,
  /// once this rank's call, or its destructor, has heard of the abort). From any thread.
  void abort() noexcept;

  /// Result::success, or why this communicator cannot be used any more; and the sentence. From any
  /// thread. Over NCCL this is where failures of calls that have returned show; it does not wait.
  [[nodiscard]] Result async_error() const noexcept;
  [[nodiscard]] std::string async_error_text() const;

  class SPARCCL_LOCAL Impl;
  [[nodiscard]] const std::shared_ptr<Impl>& impl() const noexcept { return impl_; }

 private:
  std::shared_ptr<Impl> impl_;
};

/// Calls between construction and end() are carried out together, at end(): what one thread that
/// drives several ranks over NCCL needs, as in ncclGroupStart and ncclGroupEnd, and what saves time
/// where many small tensors go out at once. Belongs to the constructing thread; may be nested, the
/// outermost end() counts. A tensor can be called once in a group, and keeps its density and state
/// until then. Calls of communicators that block are not held back. Do not open a group of NCCL's
/// own around calls of this library.
class SPARCCL_API Group {
 public:
  Group();
  ~Group();  ///< without end(): the calls are forgotten, and must be so on every rank
  Group(const Group&) = delete;
  Group& operator=(const Group&) = delete;

  /// Throws what a call would have thrown; then none of the group's communicators can be used.
  void end();

 private:
  std::size_t calls_before_;
  bool open_ = false;
};

/// Seconds spent in each stage by the calling thread: none where calls return before the device is
/// done (nccl.hpp). Of short calls (20 us) only the total is measured, but for one in 16, whose
/// shares the stages of the others take.
struct StageSeconds {
  double wait = 0;        ///< for the last rank to arrive, and agreeing on the call
  double accumulate = 0;  ///< sample, then residual += gradient and candidates: the one full pass
  double select = 0;      ///< the k largest scores among the candidates
  double pack = 0;        ///< values to the wire type, residual cleared of what is sent
  double exchange = 0;    ///< the allgather of the packets
  double merge = 0;       ///< packets checked, summed in rank order, scattered; history remembered

  [[nodiscard]] double total() const noexcept {
    return wait + accumulate + select + pack + exchange + merge;
  }
};

/// Counts since construction unless named last_*. Over NCCL those of the steps that the device has
/// finished.
struct Stats {
  std::uint64_t steps = 0;             ///< calls that wrote a result, NaN ones included
  std::uint64_t non_finite_steps = 0;  ///< calls whose gradient was not finite on some rank
  std::uint64_t entries = 0;           ///< entries that this rank sent
  std::uint64_t candidates = 0;        ///< entries that passed the filter of the fused pass
  std::uint64_t fallbacks = 0;    ///< steps whose sampled bound failed its proof: one more read
  std::uint64_t wire_bytes = 0;   ///< bytes that this rank sends in a ring: allgather's are (P-1) x
                                  ///< packet; hierarchical's only those to other nodes
  std::uint64_t dense_bytes = 0;  ///< the same for a dense ring allreduce: 2 (P-1)/P x tensor
  std::uint64_t last_entries = 0;
  std::uint64_t last_candidates = 0;
  std::uint64_t packet_bytes = 0;     ///< largest message to one rank under the present density
  std::uint64_t step_bytes = 0;       ///< that this rank sends in a step, as wire_bytes counts
  std::uint64_t residual_bytes = 0;   ///< memory held for the residual
  std::uint64_t workspace_bytes = 0;  ///< memory held besides: history, candidates, packets
  StageSeconds seconds;
  StageSeconds last_seconds;
  Path path = Path::allgather;  ///< that the next call takes; automatic: not chosen yet
  std::string path_reason;      ///< why: "asked for", or what the cost model predicts of each
};

/// The sparse replacement of a dense allreduce, bound to one named tensor. Holds the residual
/// (what was never sent: 4 bytes an entry, 8 for float64) and the history of the last step.
class SPARCCL_API SparseAllreduce {
 public:
  /// Allocates everything that a call needs. Not collective: no communication.
  /// type: float16, bfloat16, float32 or float64. count: at least 1.
  SparseAllreduce(const Communicator& communicator, std::string name, std::size_t count,
                  DataType type, const Options& options = {});
  ~SparseAllreduce();
  SparseAllreduce(SparseAllreduce&&) noexcept;
  SparseAllreduce& operator=(SparseAllreduce&&) noexcept;

  /// Accumulates gradient / loss_scale into the residual, sends its k entries of largest score and
  /// writes the sum (or mean) of what all ranks sent, zero elsewhere, not scaled back.
  /// gradient, result: [count] of the bound type, memory of the communicator's kind (host memory
  /// unless nccl.hpp or cuda.hpp made it), equal or disjoint. The bits of the result are the same
  /// on every rank. Blocks until every rank has called, but over NCCL, where it is enqueued on the
  /// stream. No allocation. When it throws, residual and history are as before the call and the
  /// result holds anything.
  void operator()(const void* gradient, void* result, double loss_scale = 1.0,
                  Stream stream = nullptr);

  /// The same for contiguous ranges of float or double: checks their size and type.
  template <class T>
  void operator()(std::span<const T> gradient, std::span<T> result, double loss_scale = 1.0) {
    check_span(gradient.size(), type_of<T>());
    check_span(result.size(), type_of<T>());
    (*this)(static_cast<const void*>(gradient.data()), static_cast<void*>(result.data()),
            loss_scale);
  }

  /// The same, as positions (ascending) and values (of the bound type) of the entries that any rank
  /// sent. positions, values: [sparse_capacity()], memory of the communicator's kind. Returns how
  /// many were written, for which it waits for the stream. Not in a Group over NCCL. On a
  /// non-finite step: one entry, position 0, value NaN.
  std::size_t sparse(const void* gradient, std::uint64_t* positions, void* values,
                     double loss_scale = 1.0, Stream stream = nullptr);

  /// Most entries that sparse() can write under the present density: min(n, P k).
  [[nodiscard]] std::size_t sparse_capacity() const noexcept;

  /// Changes how many entries are sent from the next call on; call it with the same value on every
  /// rank, before the same call. (On Path::hierarchical a rank that was told alone stays refused
  /// when it goes back, until all ranks take another path and come back.) Residual and history stay
  /// (under Path::automatic a path is chosen anew). Allocates; on CUDA it waits for the device, and
  /// graphs that were captured before are void. As many entries as before: does nothing.
  void set_density(double density);
  void set_k(std::uint64_t k);

  /// Changes RegTop-k's mu from the next call on, 0 to Top-k; call it with the same value on every
  /// rank. Residual and history stay (under Path::automatic a path is chosen anew, without
  /// history). Allocates and waits as set_density does.
  void set_mu(double mu);

  /// Takes another path from the next call on; call it with the same value on every rank. Nothing
  /// of the residual is lost. Allocates and waits as set_density does.
  void set_path(Path path);

  [[nodiscard]] std::uint64_t k() const noexcept;
  [[nodiscard]] std::size_t count() const noexcept;
  [[nodiscard]] const std::string& name() const noexcept;
  [[nodiscard]] Stats stats() const;

  /// The residual: [count] f32, or f64 for a float64 tensor; memory of the communicator's kind;
  /// valid until the next call.
  [[nodiscard]] const void* residual() const noexcept;

  /// Writes residual, history and step to a file of this rank; a run that loads it gives the bits
  /// of one that never stopped. Replaces the file only when it is complete. Holds a copy of the
  /// state in host memory while it runs; on CUDA it waits for the device.
  void save(const std::filesystem::path& path) const;

  /// Reads what save() wrote for a tensor of this name, count, type and distortion, at this rank of
  /// a world of this size. Anything else throws Result::bad_state and changes nothing.
  void load(const std::filesystem::path& path);

  class SPARCCL_LOCAL Impl;
  [[nodiscard]] Impl& impl() const noexcept { return *impl_; }

 private:
  template <class T>
  static constexpr DataType type_of() {
    static_assert(std::is_same_v<T, float> || std::is_same_v<T, double>,
                  "for float16 and bfloat16 use the overload that takes pointers");
    return std::is_same_v<T, float> ? DataType::float32 : DataType::float64;
  }
  void check_span(std::size_t size, DataType type) const;

  std::unique_ptr<Impl> impl_;
};

/// Every rank gets every rank's positions and values, unreduced: the building block for reductions
/// of one's own. Keeps no residual.
class SPARCCL_API SparseAllgather {
 public:
  /// count: entries of the dense tensor that positions point into, at least 1. capacity: most
  /// entries that a rank may send, in [1, count]; the packets always have room for that many.
  /// type: any; values are moved, not read.
  SparseAllgather(const Communicator& communicator, std::string name, std::size_t count,
                  DataType type, std::size_t capacity);
  ~SparseAllgather();
  SparseAllgather(SparseAllgather&&) noexcept;
  SparseAllgather& operator=(SparseAllgather&&) noexcept;

  /// positions: strictly ascending, below count, at most capacity of them (the number may differ
  /// from rank to rank). values: [positions.size()] of the bound type. Host memory. Blocks.
  void operator()(std::span<const std::uint64_t> positions, const void* values);

  /// What rank sent in the last call. Valid until the next one.
  [[nodiscard]] std::span<const std::uint64_t> positions(int rank) const;
  [[nodiscard]] const void* values(int rank) const;

 private:
  class SPARCCL_LOCAL Impl;
  std::unique_ptr<Impl> impl_;
};

/// Version of the library that is linked, as 10000 * major + 100 * minor + patch.
[[nodiscard]] SPARCCL_API int version() noexcept;

}  // namespace sparccl
