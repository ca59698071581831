// Path::hierarchical: from one floating-point type to another, and what ranks of a node tell each
// other of their sums.
#include "cuda/arguments.hpp"
#include "cuda/launch.hpp"

namespace sparccl::cuda {
namespace {

constexpr unsigned threads = 256;
constexpr unsigned adjacent = 4;  // entries of a thread at once

template <class From, class To, class A>
__global__ void __launch_bounds__(threads)
    convert_kernel(To* to, const From* from, std::uint64_t count, A factor) {
  const std::uint64_t step = std::uint64_t{gridDim.x} * threads * adjacent;
  for (std::uint64_t base = std::uint64_t{blockIdx.x} * threads * adjacent + threadIdx.x;
       base < count; base += step) {
#pragma unroll
    for (unsigned j = 0; j < adjacent; ++j) {
      const std::uint64_t i = base + j * threads;
      if (i >= count) break;
      store(to + i,
            Convert<To>::from(factor * static_cast<A>(Convert<From>::up(load_once(from + i)))));
    }
  }
}

__global__ void tell_kernel(const Header* header, std::uint64_t* flag) {
  if (threadIdx.x != 0 || load(&header->refused) != 0) return;
  store(flag, std::uint64_t{load(&header->non_finite) != 0 ? 1u : 0u});
}

/// select() and pack() then send nothing, and restore() gives back what accumulate() has moved:
/// what they do of a sum of this rank's own that was not finite, but that no span was left
/// unwritten.
__global__ void hear_kernel(Header* header, const std::uint64_t* flags, std::uint64_t size) {
  if (load(&header->refused) != 0) return;
  for (std::uint64_t i = threadIdx.x; i < size; i += blockDim.x) {
    if (load(flags + i) != 0) atomic_or(&header->non_finite, 1u);
  }
}

}  // namespace

void convert(void* to, DataType to_type, const void* from, DataType from_type, std::size_t count,
             double scale, cudaStream_t stream) {
  visit_floating(from_type, [&]<class From>(Tag<From>) {
    visit_floating(to_type, [&]<class To>(Tag<To>) {
      using A = Accumulator<From>;
      launch({"convert", stream, blocks_for(count / (threads * adjacent), 1u << 16), threads},
             convert_kernel<From, To, A>, static_cast<To*>(to), static_cast<const From*>(from),
             count, static_cast<A>(scale));
    });
  });
}

void tell_finite(const Step& step, const void* workspace, std::uint64_t* flag) {
  launch({"tell finite", stream_of(step), 1, warp_size}, tell_kernel,
         static_cast<const Header*>(workspace), flag);
}

void hear_finite(const Step& step, void* workspace, const std::uint64_t* flags, std::size_t size) {
  launch({"hear finite", stream_of(step), 1, threads}, hear_kernel, static_cast<Header*>(workspace),
         flags, size);
}

}  // namespace sparccl::cuda
