// The gradient of convolutions and perceptron against differences of a loss that is computed by
// definition.
#include "classifier.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <random>
#include <string>
#include <vector>

namespace {

using mnist::Classifier;
using mnist::Convolution;
using mnist::Floats;
using mnist::Network;
using Doubles = std::vector<double>;

Doubles convolve(const Convolution& layer, const Doubles& image, const Doubles& parameters) {
  Doubles result;
  for (std::size_t i = 0; i < layer.out.rows; ++i) {
    for (std::size_t j = 0; j < layer.out.columns; ++j) {
      for (std::size_t out = 0; out < layer.out.channels; ++out) {
        double sum = parameters[layer.biases() + out];
        for (std::size_t y = 0; y < 5; ++y) {
          for (std::size_t x = 0; x < 5; ++x) {
            const std::size_t row = 2 * i + y;  // and two above it
            const std::size_t column = 2 * j + x;
            if (row < 2 || row - 2 >= layer.in.rows) continue;
            if (column < 2 || column - 2 >= layer.in.columns) continue;
            for (std::size_t in = 0; in < layer.in.channels; ++in) {
              sum += image[((row - 2) * layer.in.columns + column - 2) * layer.in.channels + in] *
                     parameters[layer.weights + ((out * 5 + y) * 5 + x) * layer.in.channels + in];
            }
          }
        }
        result.push_back(std::fmax(sum, 0));
      }
    }
  }
  return result;
}

double loss_of(const Network& network, Doubles values, std::size_t label,
               const Doubles& parameters) {
  for (const Convolution& layer : network.convolutions)
    values = convolve(layer, values, parameters);
  for (std::size_t l = 0; l < network.layers(); ++l) {
    Doubles above;
    for (std::size_t out = 0; out < network.outputs(l); ++out) {
      double sum = parameters[network.biases(l) + out];
      for (std::size_t in = 0; in < network.inputs(l); ++in) {
        sum += values[in] * parameters[network.weights(l) + out * network.inputs(l) + in];
      }
      above.push_back(network.is_last(l) ? sum : std::fmax(sum, 0));
    }
    values = above;
  }
  double sum = 0;
  for (const double value : values) sum += std::exp(value);
  return std::log(sum) - values[label];
}

class Gradient : public testing::TestWithParam<Network> {};

TEST_P(Gradient, IsTheSlopeOfTheLoss) {
  const Network& network = GetParam();
  constexpr std::size_t batch = 3;
  std::mt19937_64 random(5);
  std::uniform_real_distribution<float> uniform(0, 1);
  Floats images(batch * network.image_size());
  for (float& pixel : images) pixel = uniform(random);
  const std::vector<std::uint8_t> labels{2, 0, 1};

  Classifier classifier(network, 11);
  for (float& parameter : classifier.parameters()) parameter += 0.1F * (uniform(random) - 0.5F);
  Floats gradient(network.parameter_count, NAN);  // all of it is overwritten
  const double loss = classifier.backward(images, labels, 1, gradient);

  Doubles parameters(classifier.parameters().begin(), classifier.parameters().end());
  const auto total = [&] {
    double sum = 0;
    for (std::size_t i = 0; i < batch; ++i) {
      const auto first = images.begin() + static_cast<std::ptrdiff_t>(i * network.image_size());
      const Doubles image(first, first + static_cast<std::ptrdiff_t>(network.image_size()));
      sum += loss_of(network, image, labels[i], parameters);
    }
    return sum;
  };
  EXPECT_NEAR(loss, total(), 1e-5 * total());
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    constexpr double step = 1e-6;
    const double before = parameters[i];
    parameters[i] = before + step;
    const double above = total();
    parameters[i] = before - step;
    const double below = total();
    parameters[i] = before;
    ASSERT_NEAR(gradient[i], (above - below) / (2 * step), 1e-4) << "parameter " << i;
  }
}

INSTANTIATE_TEST_SUITE_P(, Gradient,
                         testing::Values(Network({6, 5, 3}), Network({5, 5, 1}, {2}, {3}),
                                         Network({7, 4, 2}, {3, 4}, {5, 3}),
                                         Network({1, 1, 3}, {2, 2, 2}, {3}),
                                         Network({2, 9, 1}, {4, 3, 2}, {4, 3})),
                         [](const auto& of) { return "network_" + std::to_string(of.index); });

TEST(Networks, HaveShapesAsDescribed) {
  EXPECT_EQ(describe(Network({784, 512, 10})), "784-512-10");
  const Network network({28, 28, 1}, {8, 16}, {64, 10});
  EXPECT_EQ(describe(network), "28x28x1, 14x14x8, 7x7x16, 784-64-10");
  EXPECT_EQ(network.parameter_count, 26 * 8 + 201 * 16 + 785 * 64 + 65 * 10);
  EXPECT_EQ(network.image_size(), 784U);
  EXPECT_THROW(Network({28, 28, 1}, {0}, {10}), std::invalid_argument);
  EXPECT_THROW(Network({28, 28, 1}, {4}, {}), std::invalid_argument);
}

}  // namespace
