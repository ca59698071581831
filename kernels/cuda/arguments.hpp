// The signatures of the stages on a device, once for the backend that calls them.
#pragma once

#include <cstddef>
#include <span>

#include <cuda_runtime.h>

#include "cuda/workspace.hpp"
#include "stages.hpp"

namespace sparccl::cuda {

/// Blocks of each kernel whose blocks meet that the device runs at once.
struct GridLimits {
  std::size_t sample = 0, select = 0, check = 0, restore = 0, merge_sparse = 0;
  std::size_t scatter = 0, reduce = 0, judge = 0, join = 0;
  std::size_t conclude_dense = 0;
};

/// Asks the present device, for tensors of this type.
[[nodiscard]] GridLimits grid_limits(DataType type, DataType wire);
// ... which each stage answers for its own kernel.
[[nodiscard]] std::size_t sample_blocks(DataType type);
[[nodiscard]] std::size_t select_blocks(DataType type);
[[nodiscard]] std::size_t check_blocks(DataType type, DataType wire);
[[nodiscard]] std::size_t restore_blocks(DataType type);
[[nodiscard]] std::size_t merge_sparse_blocks(DataType type, DataType wire);
[[nodiscard]] std::size_t scatter_blocks(DataType type, DataType wire);
[[nodiscard]] std::size_t reduce_blocks(DataType type, DataType wire);
[[nodiscard]] std::size_t judge_blocks(DataType type);
[[nodiscard]] std::size_t join_blocks(DataType type, DataType wire);
[[nodiscard]] std::size_t conclude_dense_blocks(DataType type);

// Each enqueues on step.stream and returns. limit: blocks that meet, at most.

void sample(const Plan& plan, const Step& step, const Memory& memory, void* workspace,
            std::size_t limit);
void accumulate(const Plan& plan, const Step& step, const Memory& memory, void* workspace);
void select(const Plan& plan, const Step& step, const Memory& memory, void* workspace,
            std::size_t limit);
void pack(const Plan& plan, const Step& step, const Memory& memory, void* workspace,
          const Packet& outgoing);
void check(const Plan& plan, const Step& step, const Memory& memory, void* workspace,
           std::span<const Packet> packets, std::size_t limit);
void restore(const Plan& plan, const Step& step, const Memory& memory, void* workspace,
             std::size_t limit);
void merge_dense(const Plan& plan, const Step& step, const Memory& memory, void* workspace,
                 std::span<const Packet> packets, const Output& output);
void merge_sparse(const Plan& plan, const Step& step, const Memory& memory, void* workspace,
                  std::span<const Packet> packets, const Output& output, std::size_t limit);

void scatter(const SplitPlan& split, const Step& step, const Memory& memory, void* workspace,
             void* scratch, const Packet& own, std::span<const Packet> outgoing, std::size_t limit);
void reduce(const SplitPlan& split, const Step& step, const Memory& memory, void* workspace,
            void* scratch, std::span<const Packet> incoming, const Packet& outgoing,
            std::size_t limit);
void judge(const SplitPlan& split, const Step& step, const Memory& memory, void* workspace,
           void* scratch, std::span<const Packet> reduced, std::size_t limit);
void join(const SplitPlan& split, const Step& step, const Memory& memory, void* workspace,
          void* scratch, const Packet& own, std::span<const Packet> reduced, const Output& output,
          std::size_t limit);

void prepare_dense(const Plan& plan, const Step& step, const Memory& memory, void* send);
void conclude_dense(const Plan& plan, const Step& step, const Memory& memory, void* workspace,
                    const void* sum, const Output& output, std::size_t limit);
void count_dense(const Plan& plan, const Step& step, const Memory& memory, void* workspace);

void tell_finite(const Step& step, const void* workspace, std::uint64_t* flag);
void hear_finite(const Step& step, void* workspace, const std::uint64_t* flags, std::size_t size);
void convert(void* to, DataType to_type, const void* from, DataType from_type, std::size_t count,
             double scale, cudaStream_t stream);

void announce(const RollCall& roll, const void* descriptor, const std::uint64_t* step,
              std::size_t step_offset, cudaStream_t stream);
void verify(const RollCall& roll, Trouble* trouble, cudaStream_t stream);

/// Packets of all ranks, which lie at equal distances.
struct Packets {
  Packet first;
  std::size_t stride = 0;  // bytes

  explicit Packets(std::span<const Packet> packets) : first(packets[0]) {
    if (packets.size() < 2) return;
    stride = static_cast<std::size_t>(static_cast<const std::byte*>(packets[1].identity) -
                                      static_cast<const std::byte*>(packets[0].identity));
  }

  template <class T>
  [[nodiscard]] __host__ __device__ T* of(T* part, std::size_t rank) const {
    return reinterpret_cast<T*>(reinterpret_cast<std::uintptr_t>(part) + rank * stride);
  }
};

[[nodiscard]] inline cudaStream_t stream_of(const Step& step) {
  return static_cast<cudaStream_t>(step.stream);
}

/// Blocks for `work` pieces, at least one, at most `limit`.
[[nodiscard]] inline std::size_t blocks_for(std::size_t work, std::size_t limit) {
  return std::clamp(work, std::size_t{1}, limit);
}

}  // namespace sparccl::cuda
