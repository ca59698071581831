// One allreduce of the program, and why it may be none of ours.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include <sparccl/sparccl.hpp>

namespace sparccl::shim {

/// What tells tensors apart, besides their place in a step.
struct Key {
  std::uint64_t count = 0;
  DataType type = DataType::float32;
  Reduction reduction = Reduction::sum;

  [[nodiscard]] bool operator==(const Key&) const = default;
};

/// "1000 float32 sum"
[[nodiscard]] std::string show(const Key& key);

/// A call as the program made it. send, recv: [key.count], memory of the communicator's kind, equal
/// or disjoint.
struct Request {
  const void* send = nullptr;
  void* recv = nullptr;
  Key key;
  std::uint64_t number = 0;  ///< of allreduce calls on this communicator, of any kind, from 0
  Stream stream = nullptr;
};

/// Why a call went the program's own way.
enum class Reason : std::uint8_t {
  disabled,       // SPARCCL_DISABLE
  one_rank,       // nothing goes over a wire
  intercomm,      // MPI's, between two groups
  group,          // between ncclGroupStart and ncclGroupEnd
  capture,        // while the stream is captured into a graph
  operation,      // neither a sum nor an average
  type,           // not a floating-point type that the sparse path reduces
  device_memory,  // given to MPI
  host_memory,    // or another device's, given to NCCL
  small,          // SPARCCL_MIN_COUNT
  not_matched,    // SPARCCL_MATCH
  no_threads,     // nonblocking, and MPI gave no MPI_THREAD_MULTIPLE
  not_met,        // nonblocking, on a communicator that had no blocking call yet
  learning,       // the calls that make a step are not known yet
  outside_step,   // not one of them
  warm_up,        // SPARCCL_WARMUP_STEPS
};
inline constexpr std::size_t reasons = static_cast<std::size_t>(Reason::warm_up) + 1;

/// As it stands in the table.
[[nodiscard]] const char* text_of(Reason reason) noexcept;

}  // namespace sparccl::shim
