// What tests say to the stand-in for CUDA, and ask of it. docs/testing-simt.md has the guarantees.
//
// All of it is for the whole process and may be called from any thread, but not from kernels.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>

namespace simt {

// Schedules.

/// The order of blocks, threads and streams from here on, and what unwritten shared memory holds.
/// 0: ascending. Before the first call: SPARCCL_SIMT_SEED, or else 1.
void set_schedule(std::uint64_t seed);
[[nodiscard]] std::uint64_t schedule();

// Devices.

/// 4 by default. No stream, event or allocation may be live.
void set_device_count(int devices);
/// Of every device; 3 by default (1 under ThreadSanitizer, to whom fibers are costly). Each holds
/// 512 threads at a time, and 100 KiB of shared memory.
void set_multiprocessors(int each);

// Failures.

/// Every call fails with this, as where there is no driver or no device. cudaSuccess: as before.
void fail_all_calls(cudaError_t error);
/// The n-th cudaMalloc from here on fails (1: the next one); then they succeed again. 0: none.
void fail_device_allocation(std::uint64_t n);
/// The same for cudaHostAlloc and cudaMallocHost.
void fail_host_allocation(std::uint64_t n);

/// What the last kernel that failed did wrong: "kernel NAME, block B, thread T: ...". Empty: none.
[[nodiscard]] std::string last_fault();

/// Forgets faults, so that devices work again, and counts; asks for no more failures. What is
/// enqueued and allocated stays.
void reset();

// Counts.

/// Calls that make the host wait for a device: synchronisations of streams, events and devices,
/// blocking copies (also cudaMemcpyAsync to pageable memory), and freeing.
[[nodiscard]] std::uint64_t host_synchronisations();
[[nodiscard]] std::uint64_t host_synchronisations_of_this_thread();

/// What is allocated and not yet freed.
struct Live {
  std::size_t device_allocations = 0;
  std::size_t device_bytes = 0;
  std::size_t pinned_allocations = 0;
  std::size_t pinned_bytes = 0;
  std::size_t streams = 0;
  std::size_t events = 0;
  std::size_t graphs = 0;  // and their executables
  bool operator==(const Live&) const = default;
};
[[nodiscard]] Live live();

/// What a kernel did, summed over its launches. Atomics are those on global memory, and their bytes
/// are not in the others.
struct Traffic {
  std::uint64_t launches = 0;
  std::uint64_t loads = 0;
  std::uint64_t loaded_bytes = 0;
  std::uint64_t stores = 0;
  std::uint64_t stored_bytes = 0;
  std::uint64_t atomics = 0;
  std::uint64_t warp_operations = 0;  // of whole warps
  std::uint64_t barriers = 0;         // of whole blocks
};
[[nodiscard]] Traffic traffic(const std::string& kernel);
[[nodiscard]] std::map<std::string, Traffic> all_traffic();
void reset_traffic();

// Ranges (NVTX).

/// From here on, a tool listens to this thread.
void record_ranges();
/// What it heard: "domain:outer(inner()inner())", "!" where a range ended that had not begun, "?("
/// for one without a name.
[[nodiscard]] std::string recorded_ranges();

// Device memory. Its addresses mean nothing to the host, as on a machine with a GPU: host code that
// reads or writes through them crashes. These are for tests and for stand-ins of other libraries
// (NCCL's), which run in host functions or after a synchronisation.

/// Where the bytes of device memory are; host memory: the same address. Throws std::out_of_range.
[[nodiscard]] const void* peek(const void* pointer, std::size_t bytes);
/// Copies between any two kinds of memory, at once. Bytes that were not written stay so.
void copy(void* to, const void* from, std::size_t bytes);
/// Whether a kernel may read all of these bytes of device memory.
[[nodiscard]] bool written(const void* pointer, std::size_t bytes);

}  // namespace simt
