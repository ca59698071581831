#include "network.hpp"

#include <algorithm>
#include <cmath>
#include <random>
#include <stdexcept>
#include <utility>

namespace mnist {

Network::Network(std::vector<std::size_t> of_layers) : widths(std::move(of_layers)) {
  if (widths.size() < 2 || std::ranges::find(widths, std::size_t{0}) != widths.end()) {
    throw std::invalid_argument("Network: expected at least two layers, each of width 1 or more");
  }
  for (std::size_t l = 0; l + 1 < widths.size(); ++l) {
    offsets.push_back(parameter_count);
    parameter_count += (widths[l] + 1) * widths[l + 1];
  }
}

void initialise(const Network& network, std::uint64_t seed, std::span<float> parameters) {
  if (parameters.size() != network.parameter_count) {
    throw std::invalid_argument("initialise: expected as many parameters as the network has");
  }
  std::ranges::fill(parameters, 0.0F);
  std::mt19937_64 random(seed);
  for (std::size_t l = 0; l < network.layers(); ++l) {
    std::normal_distribution<float> he(0.0F,
                                       std::sqrt(2.0F / static_cast<float>(network.inputs(l))));
    const std::span weights =
        parameters.subspan(network.weights(l), network.inputs(l) * network.outputs(l));
    std::ranges::generate(weights, [&] { return he(random); });
  }
}

}  // namespace mnist
