// The reduction into positions and values: the tiles are counted, then summed again and written.
#include <limits>

#include "cuda/launch.hpp"
#include "cuda/tile_sums.hpp"

namespace sparccl::cuda {
namespace {

template <class A>
struct SparseShared {
  A sums[merge_tile_size<A>];
  std::uint32_t touched[merge_tile_size<A> / 32];  // a bit an entry that any rank sent
  WarpTotals totals;
};

template <class T, class Wire, class A>
struct SparseArguments {
  MergeArguments<Wire, A> merge;
  Report* report;
  std::uint64_t* positions;
  T* values;
};

template <class Wire, class A>
__device__ void sum_sparse(const MergeArguments<Wire, A>& in, std::uint64_t tile,
                           SparseShared<A>& shared) {
  for (unsigned i = threadIdx.x; i < merge_tile_size<A>; i += blockDim.x) {
    shared.sums[i] = A(0);
    if (i < merge_tile_size<A> / 32) shared.touched[i] = 0;
  }
  __syncthreads();
  sum_tile<Wire, merge_tile_size<A>>(
      in, tile, shared.sums, [&](unsigned i) { atomic_or(&shared.touched[i / 32], 1u << i % 32); });
}

template <class T, class Wire, class A>
__global__ void __launch_bounds__(merge_threads)
    merge_sparse_kernel(SparseArguments<T, Wire, A> in) {
  auto& shared = shared_memory<SparseShared<A>>();
  const Workspace<A>& work = in.merge.work;
  const bool first = blockIdx.x == 0 && threadIdx.x == 0;
  if (load(&work.header->verdict.kind) != Verdict::Kind::sum) {
    if (!first) return;
    store(in.positions, std::uint64_t{0});
    store(in.values, Convert<T>::from(std::numeric_limits<A>::quiet_NaN()));
    store(&in.report->written, std::uint64_t{1});
    return;
  }
  const std::uint64_t each = (work.merge_tiles + gridDim.x - 1) / gridDim.x;
  const std::uint64_t begin = each * blockIdx.x;
  const std::uint64_t end = begin + each < work.merge_tiles ? begin + each : work.merge_tiles;
  std::uint64_t mine = 0;
  for (std::uint64_t tile = begin; tile < end; ++tile) {
    sum_sparse(in.merge, tile, shared);
    for (unsigned w = threadIdx.x; w < merge_tile_size<A> / 32; w += blockDim.x) {
      mine += popcount(shared.touched[w]);
    }
    __syncthreads();
  }
  mine = block_sum(mine, shared.totals);
  if (threadIdx.x == 0) store(work.totals + blockIdx.x, mine);
  grid_barrier(&work.header->arrived);
  std::uint64_t before = 0, all = 0;
  for (unsigned b = threadIdx.x; b < gridDim.x; b += blockDim.x) {
    const std::uint64_t total = load_shared(work.totals + b);
    all += total;
    before += b < blockIdx.x ? total : 0;
  }
  std::uint64_t out = block_sum(before, shared.totals);
  all = block_sum(all, shared.totals);
  if (first) store(&in.report->written, all);

  for (std::uint64_t tile = begin; tile < end; ++tile) {
    sum_sparse(in.merge, tile, shared);
    remember_tile(in.merge, tile, shared.sums);
    // As many words as threads, or fewer: each thread writes what one word stands for.
    static_assert(merge_tile_size<A> / 32 <= merge_threads);
    const std::uint32_t word =
        threadIdx.x < merge_tile_size<A> / 32 ? shared.touched[threadIdx.x] : 0;
    std::uint64_t total = 0;
    std::uint64_t to = out + exclusive_sum(popcount(word), shared.totals, total);
    for (std::uint32_t bits = word; bits != 0; bits &= bits - 1, ++to) {
      const unsigned i = threadIdx.x * 32 + lowest_bit(bits);
      store(in.positions + to, tile * merge_tile_size<A> + i);
      store(in.values + to, result_of<T>(shared.sums[i], in.merge.divisor));
    }
    out += total;
    __syncthreads();
  }
}

}  // namespace

void merge_sparse(const Plan& plan, const Step& step, const Memory& memory, void* workspace,
                  std::span<const Packet> packets, const Output& output, std::size_t limit) {
  visit_floating(plan.type, [&]<class T>(Tag<T>) {
    using A = Accumulator<T>;
    visit_floating(plan.wire, [&]<class Wire>(Tag<Wire>) {
      if constexpr (sizeof(Wire) <= sizeof(A)) {
        const auto in = merge_arguments<Wire, A>(plan, memory, workspace, packets, output);
        launch_cooperative<SparseShared<A>>(
            {"merge sparse", stream_of(step), blocks_for(in.work.merge_tiles, limit),
             merge_threads},
            merge_sparse_kernel<T, Wire, A>,
            {in, memory.report, output.positions, static_cast<T*>(output.values)});
      }
    });
  });
}

std::size_t merge_sparse_blocks(DataType type, DataType wire) {
  return visit_floating(type, [&]<class T>(Tag<T>) {
    using A = Accumulator<T>;
    return visit_floating(wire, []<class Wire>(Tag<Wire>) -> std::size_t {
      if constexpr (sizeof(Wire) <= sizeof(A)) {
        return cooperative_blocks<SparseShared<A>>(merge_sparse_kernel<T, Wire, A>, merge_threads);
      } else {
        return 1;
      }
    });
  });
}

}  // namespace sparccl::cuda
