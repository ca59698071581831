#include "network.hpp"

#include <algorithm>
#include <cmath>
#include <random>
#include <stdexcept>
#include <utility>

namespace mnist {
namespace {

std::size_t halved(std::size_t side) {
  return (side + Convolution::stride - 1) / Convolution::stride;
}

std::string describe(const Plane& plane) {
  return std::to_string(plane.rows) + "x" + std::to_string(plane.columns) + "x" +
         std::to_string(plane.channels);
}

}  // namespace

Network::Network(std::vector<std::size_t> of_layers) { add_perceptron(std::move(of_layers)); }

Network::Network(const Plane& image, const std::vector<std::size_t>& channels,
                 const std::vector<std::size_t>& of_layers) {
  Plane in = image;
  for (const std::size_t of_out : channels) {
    if (in.size() == 0 || of_out == 0) {
      throw std::invalid_argument(
          "Network: expected images and convolutions of at least 1 x 1 x 1");
    }
    Convolution convolution{in, {halved(in.rows), halved(in.columns), of_out}, parameter_count};
    parameter_count = convolution.biases() + of_out;
    in = convolution.out;
    convolutions.push_back(convolution);
  }
  std::vector<std::size_t> all{in.size()};
  all.insert(all.end(), of_layers.begin(), of_layers.end());
  add_perceptron(std::move(all));
}

void Network::add_perceptron(std::vector<std::size_t> of_layers) {
  widths = std::move(of_layers);
  if (widths.size() < 2 || std::ranges::find(widths, std::size_t{0}) != widths.end()) {
    throw std::invalid_argument("Network: expected at least two layers, each of width 1 or more");
  }
  for (std::size_t l = 0; l + 1 < widths.size(); ++l) {
    offsets.push_back(parameter_count);
    parameter_count += (widths[l] + 1) * widths[l + 1];
  }
}

std::string describe(const Network& network) {
  std::string text;
  for (const Convolution& convolution : network.convolutions) {
    text += describe(convolution.in) + ", ";
  }
  if (!network.convolutions.empty()) text += describe(network.convolutions.back().out) + ", ";
  for (std::size_t l = 0; l < network.widths.size(); ++l) {
    if (l > 0) text += "-";
    text += std::to_string(network.widths[l]);
  }
  return text;
}

void initialise(const Network& network, std::uint64_t seed, std::span<float> parameters) {
  if (parameters.size() != network.parameter_count) {
    throw std::invalid_argument("initialise: expected as many parameters as the network has");
  }
  std::ranges::fill(parameters, 0.0F);
  std::mt19937_64 random(seed);
  const auto fill = [&](std::size_t first, std::size_t inputs, std::size_t outputs) {
    std::normal_distribution<float> he(0.0F, std::sqrt(2.0F / static_cast<float>(inputs)));
    std::ranges::generate(parameters.subspan(first, inputs * outputs), [&] { return he(random); });
  };
  for (const Convolution& each : network.convolutions) {
    fill(each.weights, each.patch(), each.out.channels);
  }
  for (std::size_t l = 0; l < network.layers(); ++l) {
    fill(network.weights(l), network.inputs(l), network.outputs(l));
  }
}

}  // namespace mnist
