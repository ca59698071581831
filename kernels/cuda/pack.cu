// What was selected, rounded to the wire type; what the rounding leaves over returns.
#include <type_traits>

#include "cuda/arguments.hpp"
#include "cuda/launch.hpp"

namespace sparccl::cuda {
namespace {

template <class A>
struct PackArguments {
  Workspace<A> work;
  Packet packet;
  const std::uint64_t* call;
  A* residual;
  std::uint64_t blocks;
};

template <class Wire, class A>
__global__ void pack_kernel(PackArguments<A> in) {
  const std::uint64_t first = std::uint64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  const std::uint64_t stride = std::uint64_t{gridDim.x} * blockDim.x;
  const Header* const header = in.work.header;
  const std::uint64_t entries = load(&header->picked);  // 0 unless something was selected
  auto* const values = static_cast<Wire*>(in.packet.values);
  for (std::uint64_t i = first; i < entries; i += stride) {
    const std::uint64_t position = load(in.work.picked_positions + i);
    const A value = load(in.work.picked_values + i);
    const Wire sent = to_wire<Wire>(value);
    store(in.packet.offsets + i, static_cast<std::uint16_t>(position % block_size));
    store(values + i, sent);
    if constexpr (!std::is_same_v<Wire, A>) {
      store(in.residual + position, value - static_cast<A>(Convert<Wire>::up(sent)));
    }
  }
  for (std::uint64_t b = first; b < in.blocks; b += stride) {
    store(in.packet.per_block + b, entries == 0 ? 0u : load(in.work.picked_per_block + b));
  }
  if (first != 0) return;
  store(in.packet.call, load(in.call));
  store(in.packet.entries, entries);
  store(in.packet.flags, load(&header->non_finite) != 0 ? packet_non_finite : 0u);
}

}  // namespace

void pack(const Plan& plan, const Step& step, const Memory& memory, void* workspace,
          const Packet& outgoing) {
  constexpr unsigned threads = 256;
  visit_accumulator(plan.accumulator(), [&]<class A>(Tag<A>) {
    visit_floating(plan.wire, [&]<class Wire>(Tag<Wire>) {
      if constexpr (sizeof(Wire) <= sizeof(A)) {  // plans hold no other
        const std::size_t work = std::max(plan.k, plan.blocks());
        launch({"pack", stream_of(step), blocks_for((work + threads - 1) / threads, 4096), threads},
               pack_kernel<Wire, A>,
               {Workspace<A>(plan, workspace), outgoing, memory.call,
                static_cast<A*>(memory.residual), plan.blocks()});
      }
    });
  });
}

}  // namespace sparccl::cuda
