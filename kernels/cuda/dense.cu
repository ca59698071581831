// Path::dense: everything is sent, the residual with it.
#include <limits>

#include "cuda/arguments.hpp"
#include "cuda/block.hpp"
#include "cuda/conclude.hpp"
#include "cuda/fill.hpp"
#include "cuda/launch.hpp"
#include "cuda/runs.hpp"

namespace sparccl::cuda {
namespace {

constexpr unsigned prepare_threads = 256;

template <class T>
struct DenseArguments {
  using A = Accumulator<T>;
  const T* gradient;
  A* residual;
  A scale;
  std::uint64_t count;
  const std::uint32_t* refused;  // or null
  T* send;                       // prepare: out
  const T* sum;                  // conclude: in
  T* result;
  Header* header;
  StepEnd end;
  std::uint32_t* sent_per_block;
  std::uint64_t blocks;
};

/// What travels of a sum: as in a packet, but that a NaN or Inf stays one.
template <class T, class A>
__device__ T sent_of(A a) {
  return is_finite(a) ? to_wire<T>(a) : Convert<T>::from(a);
}

/// f(place, run): for runs of 16 bytes of T, adjacent for adjacent threads, and what is left over
/// one by one. `aligned`: else all one by one.
template <class T, bool aligned, class F>
__device__ void for_each_run(std::uint64_t count, F f) {
  constexpr unsigned each = 16 / sizeof(T);
  const std::uint64_t first = std::uint64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  const std::uint64_t step = std::uint64_t{gridDim.x} * blockDim.x;
  std::uint64_t done = 0;
  if constexpr (aligned) {
    done = count / each * each;
    for (std::uint64_t i = first * each; i < done; i += step * each) {
      f(i, std::integral_constant<unsigned, each>{});
    }
  }
  for (std::uint64_t i = done + first; i < count; i += step) {
    f(i, std::integral_constant<unsigned, 1>{});
  }
}

template <unsigned count, class T>
__device__ void read(const T* from, T* to) {
  if constexpr (count == 1) {
    *to = load(from);
  } else {
    load_run<T, count>(from, to);
  }
}
template <unsigned count, class T>
__device__ void write(T* to, const T* from) {
  if constexpr (count == 1) {
    store(to, *from);
  } else {
    store_run<T, count>(to, from);
  }
}

/// sums[run] of residual and scaled gradient.
template <unsigned run, class T, class A>
__device__ void sum_run(const DenseArguments<T>& in, std::uint64_t at, A* sums) {
  T gradient[run];
  read<run>(in.gradient + at, gradient);
  read<run>(static_cast<const A*>(in.residual) + at, sums);
#pragma unroll
  for (unsigned j = 0; j < run; ++j) {
    sums[j] = accumulate_dense(sums[j], in.scale, static_cast<A>(Convert<T>::up(gradient[j])));
  }
}

template <class T, bool aligned>
__global__ void __launch_bounds__(prepare_threads) prepare_kernel(DenseArguments<T> in) {
  using A = Accumulator<T>;
  if (in.refused != nullptr && load(in.refused) != 0) return;
  for_each_run<T, aligned>(in.count, [&](std::uint64_t at, auto size) {
    constexpr unsigned run = decltype(size)::value;
    A sums[run];
    sum_run<run>(in, at, sums);
    T send[run];
#pragma unroll
    for (unsigned j = 0; j < run; ++j) send[j] = sent_of<T>(sums[j]);
    write<run>(in.send + at, send);
  });
}

template <class T, bool aligned>
__device__ bool all_finite(const DenseArguments<T>& in) {
  bool bad = false;
  for_each_run<T, aligned>(in.count, [&](std::uint64_t at, auto size) {
    constexpr unsigned run = decltype(size)::value;
    T sum[run];
    read<run>(in.sum + at, sum);
#pragma unroll
    for (unsigned j = 0; j < run; ++j) bad |= !is_finite(Convert<T>::up(sum[j]));
  });
  return !bad;
}

/// The residual keeps what the rounding left over, before the result, which may be the gradient.
template <class T, bool aligned>
__device__ void take_sum(const DenseArguments<T>& in) {
  using A = Accumulator<T>;
  for_each_run<T, aligned>(in.count, [&](std::uint64_t at, auto size) {
    constexpr unsigned run = decltype(size)::value;
    A sums[run];
    sum_run<run>(in, at, sums);
    T sum[run];
    read<run>(in.sum + at, sum);
#pragma unroll
    for (unsigned j = 0; j < run; ++j) {
      sums[j] = sums[j] - static_cast<A>(Convert<T>::up(sent_of<T>(sums[j])));
    }
    write<run>(in.residual + at, sums);
    write<run>(in.result + at, sum);
  });
  const std::uint64_t first = std::uint64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  for (std::uint64_t b = first; b < in.blocks; b += std::uint64_t{gridDim.x} * blockDim.x) {
    store(in.sent_per_block + b, 0u);
  }
}

/// Of a step that was not finite: the sum as it is, as a rank has it that looks at none.
template <class T, bool aligned>
__device__ void hand_on_sum(const DenseArguments<T>& in) {
  for_each_run<T, aligned>(in.count, [&](std::uint64_t at, auto size) {
    constexpr unsigned run = decltype(size)::value;
    T sum[run];
    read<run>(in.sum + at, sum);
    write<run>(in.result + at, sum);
  });
}

template <class T, bool aligned>
__global__ void __launch_bounds__(grid_threads) conclude_kernel(DenseArguments<T> in) {
  Header* const header = in.header;
  const bool first = blockIdx.x == 0 && threadIdx.x == 0;
  const bool refused = in.refused != nullptr && load(in.refused) != 0;
  Verdict verdict{refused ? Verdict::Kind::refused : Verdict::Kind::sum, -1, Problem::none};
  if (!refused) {
    // bad_table is 0 between kernels.
    const bool bad = any(!all_finite<T, aligned>(in));
    if (bad && lane() == 0) atomic_or(&header->bad_table, 1u);
    grid_barrier(&header->arrived);
    if (load_shared(&header->bad_table) != 0) verdict.kind = Verdict::Kind::non_finite;
    grid_barrier(&header->arrived);
  }
  if (verdict.kind == Verdict::Kind::sum) {
    take_sum<T, aligned>(in);
  } else if (verdict.kind == Verdict::Kind::non_finite) {
    hand_on_sum<T, aligned>(in);
  } else {
    fill(in.result, in.count, Convert<T>::from(std::numeric_limits<Accumulator<T>>::quiet_NaN()));
  }
  if (!first) return;
  store(&header->bad_table, 0u);
  reset_counts(header, refused);
  conclude(in.end, header, verdict, verdict.kind == Verdict::Kind::sum ? in.count : 0);
  // As count_kernel, which another rank may have taken, and knows no verdict.
  if (verdict.kind == Verdict::Kind::non_finite) store(in.end.step, load(in.end.step) + 1);
}

__global__ void count_kernel(Header* header, StepEnd end, const std::uint32_t* refused,
                             std::uint64_t count) {
  if (threadIdx.x != 0) return;
  const bool is_refused = refused != nullptr && load(refused) != 0;
  reset_counts(header, is_refused);
  conclude(end, header,
           {is_refused ? Verdict::Kind::refused : Verdict::Kind::sum, -1, Problem::none}, count);
}

/// The header is the first member of every workspace.
Header* header_of(void* workspace) { return static_cast<Header*>(workspace); }

bool aligned(std::initializer_list<const void*> pointers) {
  return std::all_of(pointers.begin(), pointers.end(), [](const void* pointer) {
    return reinterpret_cast<std::uintptr_t>(pointer) % 16 == 0;
  });
}

template <class T>
DenseArguments<T> arguments(const Plan& plan, const Step& step, const Memory& memory) {
  using A = Accumulator<T>;
  return {static_cast<const T*>(step.gradient),
          static_cast<A*>(memory.residual),
          static_cast<A>(step.scale),
          plan.count,
          step.refused,
          nullptr,
          nullptr,
          nullptr,
          nullptr,
          StepEnd(step, memory),
          memory.sent_per_block,
          plan.blocks()};
}

}  // namespace

void prepare_dense(const Plan& plan, const Step& step, const Memory& memory, void* send) {
  visit_floating(plan.type, [&]<class T>(Tag<T>) {
    DenseArguments<T> in = arguments<T>(plan, step, memory);
    in.send = static_cast<T*>(send);
    launch({"prepare dense", stream_of(step),
            blocks_for(plan.count * sizeof(T) / 16 / prepare_threads, 1u << 16), prepare_threads},
           aligned({step.gradient, memory.residual, send}) ? prepare_kernel<T, true>
                                                           : prepare_kernel<T, false>,
           in);
  });
}

void conclude_dense(const Plan& plan, const Step& step, const Memory& memory, void* workspace,
                    const void* sum, const Output& output, std::size_t limit) {
  visit_floating(plan.type, [&]<class T>(Tag<T>) {
    DenseArguments<T> in = arguments<T>(plan, step, memory);
    in.header = header_of(workspace);
    in.sum = static_cast<const T*>(sum);
    in.result = static_cast<T*>(output.dense);
    launch_cooperative(
        {"conclude dense", stream_of(step),
         blocks_for(plan.count * sizeof(T) / 16 / grid_threads, limit), grid_threads},
        aligned({step.gradient, memory.residual, sum, output.dense}) ? conclude_kernel<T, true>
                                                                     : conclude_kernel<T, false>,
        in);
  });
}

void count_dense(const Plan& plan, const Step& step, const Memory& memory, void* workspace) {
  launch({"count dense", stream_of(step), 1, warp_size}, count_kernel, header_of(workspace),
         StepEnd(step, memory), step.refused, plan.count);
}

std::size_t conclude_dense_blocks(DataType type) {
  return visit_floating(type, []<class T>(Tag<T>) {
    return std::min(cooperative_blocks(conclude_kernel<T, true>, grid_threads),
                    cooperative_blocks(conclude_kernel<T, false>, grid_threads));
  });
}

}  // namespace sparccl::cuda
