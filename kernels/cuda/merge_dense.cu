// The reduction into a dense result: a block owns a tile, sums it in shared memory, writes it once.
#include <limits>

#include "cuda/launch.hpp"
#include "cuda/tile_sums.hpp"

namespace sparccl::cuda {
namespace {

template <class A>
struct DenseShared {
  A sums[merge_tile_size<A>];
};

template <class T, class Wire, class A, bool aligned>
__global__ void __launch_bounds__(merge_threads)
    merge_dense_kernel(MergeArguments<Wire, A> in, T* result) {
  constexpr unsigned each = 16 / sizeof(T);
  auto& shared = shared_memory<DenseShared<A>>();
  const std::uint64_t tile = blockIdx.x;
  const std::uint64_t begin = tile * merge_tile_size<A>;
  const std::uint64_t left = in.shape.count - begin;
  const auto length = static_cast<unsigned>(left < merge_tile_size<A> ? left : merge_tile_size<A>);
  if (load(&in.work.header->verdict.kind) != Verdict::Kind::sum) {
    const T nan = Convert<T>::from(std::numeric_limits<A>::quiet_NaN());
    for (unsigned i = threadIdx.x; i < length; i += blockDim.x) store(result + begin + i, nan);
    return;
  }
  for (unsigned i = threadIdx.x; i < merge_tile_size<A>; i += blockDim.x) shared.sums[i] = A(0);
  __syncthreads();
  sum_tile<Wire, merge_tile_size<A>>(in, tile, shared.sums, [](unsigned) {});
  remember_tile(in, tile, shared.sums);
  unsigned done = 0;
  if constexpr (aligned) {
    done = length / each * each;
    for (unsigned i = threadIdx.x * each; i < done; i += blockDim.x * each) {
      Vector<T, each> part;
#pragma unroll
      for (unsigned j = 0; j < each; ++j) {
        part.at[j] = result_of<T>(shared.sums[i + j], in.divisor);
      }
      store_once(reinterpret_cast<Vector<T, each>*>(result + begin + i), part);
    }
  }
  for (unsigned i = done + threadIdx.x; i < length; i += blockDim.x) {
    store(result + begin + i, result_of<T>(shared.sums[i], in.divisor));
  }
}

}  // namespace

void merge_dense(const Plan& plan, const Step& step, const Memory& memory, void* workspace,
                 std::span<const Packet> packets, const Output& output) {
  visit_floating(plan.type, [&]<class T>(Tag<T>) {
    using A = Accumulator<T>;
    visit_floating(plan.wire, [&]<class Wire>(Tag<Wire>) {
      if constexpr (sizeof(Wire) <= sizeof(A)) {
        const auto in = merge_arguments<Wire, A>(plan, memory, workspace, packets, output);
        const bool aligned = reinterpret_cast<std::uintptr_t>(output.dense) % 16 == 0;
        launch<DenseShared<A>>(
            {"merge", stream_of(step), in.work.merge_tiles, merge_threads},
            aligned ? merge_dense_kernel<T, Wire, A, true> : merge_dense_kernel<T, Wire, A, false>,
            in, static_cast<T*>(output.dense));
      }
    });
  });
}

}  // namespace sparccl::cuda
