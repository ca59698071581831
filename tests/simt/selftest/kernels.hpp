// Kernels for the stand-in's own tests, and what the tests share.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>
#include <vector>

#include "cuda/runtime.hpp"
#include "simt.hpp"

namespace simt::test {

// Tests try the seeds below this; 0 is the natural order.
#if defined(__SANITIZE_THREAD__)
inline constexpr std::uint64_t schedules = 4;
#else
inline constexpr std::uint64_t schedules = 12;
#endif

// Right ones. All pointers: device memory.

/// sums[b]: of the block's 256 inputs, by shuffles and shared memory.
void block_sums(const std::uint32_t* in, std::uint32_t* sums, std::size_t blocks, cudaStream_t s);
/// bins[v] += 1 for each value v < 64, bins[64] = the largest bin; all blocks meet in between.
void histogram(const std::uint32_t* in, std::size_t count, std::uint32_t* bins,
               std::uint32_t* arrived, std::size_t blocks, cudaStream_t s);
[[nodiscard]] std::size_t histogram_blocks();
/// out[i] = (out[i] + 1) * factor
void step(std::uint32_t* out, std::size_t count, std::uint32_t factor, cudaStream_t s);
/// What each warp function gives, nine values for each of 64 threads.
void warp_functions(std::uint32_t* out, cudaStream_t s);
/// Copies 16 bytes by vectors, and by single bytes.
void copy_both_ways(const std::uint32_t* in, std::uint32_t* out, cudaStream_t s);
/// *flag: from 0 to the number of the first thread that comes, which makes *least at most 7; *bits:
/// one for each lane.
void atomics(std::uint32_t* flag, std::uint64_t* least, std::uint32_t* bits, cudaStream_t s);

// Broken ones.

/// Each of 256 threads passes in[i] to its right neighbour; the barrier in between is missing.
void pass_right_without_barrier(const std::uint32_t* in, std::uint32_t* out, cudaStream_t s);
/// The same within a warp, without warp_barrier().
void pass_right_in_warp_without_barrier(const std::uint32_t* in, std::uint32_t* out,
                                        cudaStream_t s);
/// Depends on what shared memory holds at the beginning.
void sum_into_unset_shared(std::uint32_t* out, cudaStream_t s);
/// out[i + 1] instead of out[i].
void tile_one_off(std::uint32_t* out, std::size_t count, cudaStream_t s);
void load_only(const std::uint32_t* in, std::uint32_t* out, cudaStream_t s);
void load_vector(const std::uint32_t* in, std::uint32_t* out, cudaStream_t s);
/// Half of the block's warps do not come to the barrier: they end, or fail.
void half_at_barrier(bool ends, cudaStream_t s);
/// What threads of that kernel hold and have not destroyed.
[[nodiscard]] int guards_alive();
/// Half of each warp: at a ballot, the others at `other`.
enum class Elsewhere { end, barrier, shuffle, warp_barrier };
void half_at_ballot(Elsewhere other, cudaStream_t s);
void grid_barrier_of_some(std::uint32_t* arrived, cudaStream_t s);
void grid_barrier_uncooperative(std::uint32_t* arrived, cudaStream_t s);
void odd_block(cudaStream_t s);
void throws(cudaStream_t s);
void wrong_shared(cudaStream_t s);
void too_many_threads(cudaStream_t s);
void too_many_cooperative(cudaStream_t s);

/// Device memory for a test.
class Buffer {
 public:
  explicit Buffer(std::size_t count) : count_(count) {
    sparccl::cuda::check(cudaMalloc(&data_, count * sizeof(std::uint32_t)));
  }
  explicit Buffer(const std::vector<std::uint32_t>& values) : Buffer(values.size()) {
    sparccl::cuda::check(
        cudaMemcpy(data_, values.data(), count_ * sizeof(std::uint32_t), cudaMemcpyHostToDevice));
  }
  ~Buffer() { static_cast<void>(cudaFree(data_)); }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  [[nodiscard]] std::uint32_t* get() const { return data_; }
  /// Waits for the device.
  [[nodiscard]] std::vector<std::uint32_t> values() const {
    std::vector<std::uint32_t> all(count_);
    sparccl::cuda::check(cudaDeviceSynchronize());
    sparccl::cuda::check(
        cudaMemcpy(all.data(), data_, count_ * sizeof(std::uint32_t), cudaMemcpyDeviceToHost));
    return all;
  }

 private:
  std::uint32_t* data_ = nullptr;
  std::size_t count_;
};

[[nodiscard]] inline std::vector<std::uint32_t> numbers(std::size_t count,
                                                        std::uint32_t below = 1000) {
  std::vector<std::uint32_t> all(count);
  for (std::size_t i = 0; i < count; ++i)
    all[i] = static_cast<std::uint32_t>(i * 2654435761u >> 7) % below;
  return all;
}

}  // namespace simt::test
