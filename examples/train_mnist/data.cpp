#include "data.hpp"

#include "cifar10.hpp"

namespace mnist {

Data load_data(const Config& config) {
  if (!config.cifar10.empty()) return load_cifar10(config.cifar10);
  return {load(config.data, "train"), load(config.data, "t10k")};
}

}  // namespace mnist
