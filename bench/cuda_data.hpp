// Numbers to sparsify, made on the device from counters: the same in every run.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>

namespace sparccl::bench {

/// All asynchronous on the stream; to: [count] device memory.
void fill_normal(float* to, std::size_t count, std::uint64_t seed, cudaStream_t stream);
void fill_constant(float* to, std::size_t count, float value, cudaStream_t stream);

/// What training has: scales that differ from coordinate to coordinate, the same on every rank, and
/// a part that stays from step to step. All of it times `factor`.
void fill_training(float* to, std::size_t count, std::uint64_t rank, std::uint64_t step,
                   float factor, cudaStream_t stream);

/// Normal numbers at about `share` of the positions, 0 elsewhere.
void fill_sparse(float* to, std::size_t count, std::uint64_t seed, double share,
                 cudaStream_t stream);

/// *to[i] = *from for all i: the peers' packets become packets of this step. to: [count] pointers
/// in device memory.
void spread_step(const std::uint64_t* from, std::uint64_t* const* to, unsigned count,
                 cudaStream_t stream);

}  // namespace sparccl::bench
