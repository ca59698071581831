// The roll call on a device: what every rank is about to do, seen without the host.
#include <cstring>

#include "cuda/arguments.hpp"
#include "cuda/launch.hpp"

namespace sparccl::cuda {
namespace {

struct Descriptor {
  std::uint64_t words[Trouble::descriptor_bytes / 8];
};
static_assert(sizeof(Descriptor) == Trouble::descriptor_bytes);
constexpr unsigned words = Trouble::descriptor_bytes / 8;

__global__ void announce_kernel(Descriptor descriptor, std::uint64_t* slot,
                                const std::uint64_t* step, unsigned step_word) {
  const unsigned i = threadIdx.x;
  if (i >= words) return;
  store(slot + i, step != nullptr && i == step_word ? load(step) : descriptor.words[i]);
}

struct VerifyShared {
  std::uint32_t first;  // rank that differs
  bool tells;
};

__global__ void verify_kernel(RollCall roll, Trouble* trouble) {
  auto& shared = shared_memory<VerifyShared>();
  const auto* const slots = reinterpret_cast<const std::uint64_t*>(roll.slots);
  const auto world = static_cast<std::uint32_t>(roll.world_size);
  std::uint32_t first = world;
  for (std::uint32_t rank = 1 + threadIdx.x; rank < world && first == world; rank += blockDim.x) {
    for (unsigned i = 0; i < words; ++i) {
      if (load(slots + rank * words + i) != load(slots + i)) first = rank;
    }
  }
  for (unsigned mask = warp_size / 2; mask > 0; mask /= 2) {
    const std::uint32_t other = shuffle_xor(first, mask);
    first = other < first ? other : first;
  }
  auto* const kind = reinterpret_cast<std::uint32_t*>(&trouble->kind);
  if (threadIdx.x == 0) {
    shared.first = first;
    store(roll.refused, first < world ? 1u : 0u);
    shared.tells = first < world && trouble != nullptr &&
                   compare_and_swap_system(kind, 0, Trouble::being_written) == 0;
  }
  __syncthreads();
  first = shared.first;
  if (!shared.tells) return;
  auto* const to = reinterpret_cast<std::uint64_t*>(&trouble->descriptors[0][0]);
  for (unsigned i = threadIdx.x; i < words; i += blockDim.x) {
    store(to + i, load(slots + i));
    store(to + words + i, load(slots + first * words + i));
  }
  fence_system();
  __syncthreads();
  if (threadIdx.x != 0) return;
  store(&trouble->rank, static_cast<std::int32_t>(first));
  fence_system();
  store(kind, static_cast<std::uint32_t>(Verdict::Kind::refused));
}

}  // namespace

void announce(const RollCall& roll, const void* descriptor, const std::uint64_t* step,
              std::size_t step_offset, cudaStream_t stream) {
  Descriptor copy;
  std::memcpy(&copy, descriptor, sizeof(copy));
  auto* const slot = reinterpret_cast<std::uint64_t*>(
      roll.slots + static_cast<std::size_t>(roll.rank) * sizeof(Descriptor));
  launch({"announce", stream, 1, warp_size}, announce_kernel, copy, slot, step,
         static_cast<unsigned>(step_offset / 8));
}

void verify(const RollCall& roll, Trouble* trouble, cudaStream_t stream) {
  launch<VerifyShared>({"verify", stream, 1, warp_size}, verify_kernel, roll, trouble);
}

}  // namespace sparccl::cuda
