// What the stand-in's cuda/device.hpp and cuda/launch.hpp call. Tests use simt.hpp instead.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>
#include <functional>

namespace simt::detail {

enum class WarpOp : unsigned char { any, ballot, shuffle, shuffle_up, shuffle_xor, barrier };

/// Bit i of the result: the predicate of lane i.
unsigned vote(WarpOp op, bool predicate);
/// `bits` of the lane that `argument` names in the way of `op`.
std::uint64_t exchange(WarpOp op, std::uint64_t bits, std::size_t bytes, unsigned argument);
void warp_barrier();
void grid_barrier(std::uint32_t* arrived);
/// Between two accesses: now and then another thread goes on first.
void pause_sometimes();

/// The block's, which must have been launched with that many bytes.
void* shared_memory(std::size_t bytes);

/// Where the bytes of a checked address are. Host memory is seen by host threads meanwhile.
struct Place {
  void* at;
  bool on_host;
};
Place to_read(const void* from, std::size_t bytes);
Place to_write(void* to, std::size_t bytes);
/// The same for a read-modify-write, also of shared memory.
void* to_update(void* at, std::size_t bytes);

struct Kernel {
  const char* name;
  std::size_t blocks;
  unsigned threads;
  std::size_t shared_bytes;
  bool cooperative;
  std::function<void()> thread;  // what each thread does
};
cudaError_t launch(cudaStream_t stream, Kernel kernel);

}  // namespace simt::detail
