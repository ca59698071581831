// The one full pass: residual += scale * gradient, and the candidates for selection leave it.
//
// A block takes a tile, each of its warps a span of it, and every access is 16 bytes a thread. Most
// of the work is to keep enough of them under way: what is not a candidate is stored at once, and
// what is costs the block one atomic and two barriers, whatever their number.
#include "cuda/arguments.hpp"
#include "cuda/history.hpp"
#include "cuda/launch.hpp"
#include "cuda/runs.hpp"

namespace sparccl::cuda {
namespace {

template <class G, class A>
struct PassArguments {
  Workspace<A> work;
  const G* gradient;
  A* residual;
  A scale;
  std::uint64_t count;
};

struct PassShared {
  std::uint32_t per_warp[pass_threads / warp_size];
  std::uint64_t base;
};

/// A thread's entries: `turns` runs of `run` adjacent ones. The lanes of a warp take adjacent runs,
/// so that the order of entries is (turn, lane, place in the run).
template <class G>
struct Runs {
  static constexpr unsigned run = 16 / sizeof(G);
  static constexpr unsigned turns = per_thread / run;
};

/// For each turn, how many candidates the lower lanes have in it, packed into equal fields; and of
/// all lanes.
template <unsigned turns>
struct Ranks {
  static constexpr unsigned field = 64 / turns;
  std::uint64_t below = 0, all = 0;

  __device__ explicit Ranks(const unsigned (&counts)[turns]) {
    std::uint64_t own = 0;
#pragma unroll
    for (unsigned t = 0; t < turns; ++t) own |= std::uint64_t{counts[t]} << t * field;
    std::uint64_t sum = own;
#pragma unroll
    for (unsigned delta = 1; delta < warp_size; delta *= 2) {
      const std::uint64_t before = shuffle_up(sum, delta);
      if (lane() >= delta) sum += before;
    }
    below = sum - own;
    all = shuffle(sum, warp_size - 1);
  }
  [[nodiscard]] __device__ static unsigned at(std::uint64_t packed, unsigned turn) {
    constexpr std::uint64_t mask =
        field == 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << field) - 1;
    return static_cast<unsigned>(packed >> turn * field & mask);
  }
};

template <class G, class A, bool aligned>
__global__ void __launch_bounds__(pass_threads) accumulate_pass(PassArguments<G, A> in) {
  constexpr unsigned run = Runs<G>::run;
  constexpr unsigned turns = Runs<G>::turns;
  constexpr Bits<A> infinity = magnitude_bits(std::numeric_limits<A>::infinity());
  auto& shared = shared_memory<PassShared>();
  Header* const header = in.work.header;
  if (load(&header->refused) != 0) return;
  if (blockIdx.x == 0 && threadIdx.x == 0) store(&header->stage, Stage::accumulated);
  const auto bound = static_cast<Bits<A>>(load(&header->bound));

  const std::uint64_t tile = blockIdx.x;
  const std::uint64_t span = tile * (pass_threads / warp_size) + warp();
  const std::uint64_t begin = span * span_size + lane() * run;  // of this thread, in turn 0
  const auto position = [&](unsigned t, unsigned j) { return begin + t * (warp_size * run) + j; };
  const bool whole = (tile + 1) * tile_size <= in.count;

  A sums[per_thread];
  if (whole) {
    G gradient[per_thread];
#pragma unroll
    for (unsigned t = 0; t < turns; ++t) {
      const G* const from = in.gradient + position(t, 0);
      if constexpr (aligned) {
        load_run<G, run>(from, gradient + t * run);
      } else {
#pragma unroll
        for (unsigned j = 0; j < run; ++j) gradient[t * run + j] = load_once(from + j);
      }
      load_run<A, run>(in.residual + position(t, 0), sums + t * run);
    }
#pragma unroll
    for (unsigned i = 0; i < per_thread; ++i) {
      sums[i] = sparccl::accumulate(sums[i], in.scale, static_cast<A>(Convert<G>::up(gradient[i])));
    }
  } else {
#pragma unroll
    for (unsigned i = 0; i < per_thread; ++i) {
      const std::uint64_t p = position(i / run, i % run);
      sums[i] = A(0);
      if (p < in.count) {
        sums[i] = sparccl::accumulate(load(in.residual + p), in.scale,
                                      static_cast<A>(Convert<G>::up(load(in.gradient + p))));
      }
    }
  }

  Bits<A> most = 0;
#pragma unroll
  for (unsigned i = 0; i < per_thread; ++i) {
    const Bits<A> bits = magnitude_bits(sums[i]);
    most = bits > most ? bits : most;
  }
  // A span with a sum that is not finite keeps what it had, so that it can be told and undone.
  const bool spoiled = any(most >= infinity);
  if (spoiled) {
    if (lane() == 0) {
      store(in.work.spoiled + span, std::uint8_t{1});
      store(&header->non_finite, 1u);
    }
  } else if (whole) {
#pragma unroll
    for (unsigned t = 0; t < turns; ++t) {
      store_run<A, run>(in.residual + position(t, 0), sums + t * run);
    }
  } else {
#pragma unroll
    for (unsigned i = 0; i < per_thread; ++i) {
      const std::uint64_t p = position(i / run, i % run);
      if (p < in.count) store(in.residual + p, sums[i]);
    }
  }

  unsigned mask = 0;  // of this thread's candidates
  std::uint64_t below = 0, all = 0;
  unsigned in_warp = 0;
  if (!spoiled && any(most > bound)) {
    unsigned counts[turns];
#pragma unroll
    for (unsigned t = 0; t < turns; ++t) counts[t] = 0;
#pragma unroll
    for (unsigned i = 0; i < per_thread; ++i) {
      const unsigned is = magnitude_bits(sums[i]) > bound ? 1 : 0;
      mask |= is << i;
      counts[i / run] += is;
    }
    const Ranks<turns> ranks(counts);
    below = ranks.below;
    all = ranks.all;
#pragma unroll
    for (unsigned t = 0; t < turns; ++t) in_warp += Ranks<turns>::at(all, t);
  }
  if (lane() == 0) shared.per_warp[warp()] = in_warp;
  __syncthreads();
  unsigned before = 0, total = 0;
#pragma unroll
  for (unsigned w = 0; w < pass_threads / warp_size; ++w) {
    if (w == warp()) before = total;
    total += shared.per_warp[w];
  }
  if (threadIdx.x == 0) {
    const std::uint64_t base =
        total == 0 ? 0 : atomic_add(&header->candidates, std::uint64_t{total});
    const bool fits = base + total <= in.work.capacity;  // else they stay in the residual
    shared.base = fits ? base : ~std::uint64_t{0};
    store(in.work.tile_start + tile, base);
    store(in.work.tile_count + tile, fits ? total : 0u);
  }
  if (total == 0) return;  // the same for the whole block
  __syncthreads();
  if (shared.base == ~std::uint64_t{0}) return;

  std::uint64_t next = shared.base + before;
#pragma unroll
  for (unsigned t = 0; t < turns; ++t) {
    std::uint64_t index = next + Ranks<turns>::at(below, t);
#pragma unroll
    for (unsigned j = 0; j < run; ++j) {
      if ((mask >> (t * run + j) & 1u) == 0) continue;
      store(in.work.positions + index, position(t, j));
      store(in.work.values + index, sums[t * run + j]);
      store(in.residual + position(t, j), A(0));
      ++index;
    }
    next += Ranks<turns>::at(all, t);
  }
}

}  // namespace

void accumulate(const Plan& plan, const Step& step, const Memory& memory, void* workspace) {
  visit_floating(plan.type, [&]<class G>(Tag<G>) {
    using A = Accumulator<G>;
    const Workspace<A> work(plan, workspace);
    const bool aligned = reinterpret_cast<std::uintptr_t>(step.gradient) % 16 == 0;
    launch<PassShared>({"accumulate", stream_of(step), work.tiles, pass_threads},
                       aligned ? accumulate_pass<G, A, true> : accumulate_pass<G, A, false>,
                       {work, static_cast<const G*>(step.gradient),
                        static_cast<A*>(memory.residual), static_cast<A>(step.scale), plan.count});
  });
}

}  // namespace sparccl::cuda
