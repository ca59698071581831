// Which GPU a rank works on.
#pragma once

#include <cstddef>
#include <string>

#include "ranks/world.hpp"

namespace mnist::cuda {

struct Placement {
  std::string name;           ///< of this rank's GPU
  std::size_t different = 0;  ///< GPUs that the ranks use between them
};

/// Collective: makes a device the present one, local rank r the r-th, around again where there are
/// fewer. Where ranks share a GPU, tells NCCL by its environment that they are on different hosts:
/// otherwise it refuses. To be called before anything else of NCCL. Throws Reported where a rank
/// has no GPU.
[[nodiscard]] Placement choose_device(World& world);

}  // namespace mnist::cuda
