// The network on a GPU computes what the one on hosts computes. Runs on the stand-in.
#include "cuda/mlp.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <numeric>
#include <random>

namespace {

using mnist::Data;
using mnist::Dataset;
using mnist::Network;

Dataset random_images(std::size_t count, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  Dataset data;
  data.rows = 4;
  data.columns = 5;
  for (std::size_t i = 0; i < count; ++i) {
    data.labels.push_back(static_cast<std::uint8_t>(random() % mnist::classes));
    // The label shows in the pixels, so that there is something to learn.
    for (std::size_t j = 0; j < data.image_size(); ++j) {
      data.pixels.push_back(
          static_cast<std::uint8_t>(random() % 100 + (j == data.labels.back() ? 150 : 0)));
    }
  }
  return data;
}

float largest_difference(std::span<const float> a, std::span<const float> b) {
  EXPECT_EQ(a.size(), b.size());
  float largest = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const float difference = std::fabs(a[i] - b[i]);
    largest = difference <= largest ? largest : difference;  // a NaN stays
  }
  return largest;
}

/// Runs test(model on hosts, model on the stand-in's device).
template <class Test>
void with_both(const std::vector<std::size_t>& widths, const Data& data, const Test& test) {
  const int status = mnist::run_threads(1, [&](mnist::World& world) {
    const Network network(widths);
    const auto backend = mnist::host_backend(world);
    const auto host = backend->model(network, data, 7);
    const mnist::cuda::Stream stream;
    mnist::cuda::Mlp device(network, data, 7, stream.get());
    test(*host, device, network);
    return EXIT_SUCCESS;
  });
  EXPECT_EQ(status, EXIT_SUCCESS);
}

class CudaMlp : public testing::TestWithParam<std::vector<std::size_t>> {
 protected:
  const Data data_{random_images(300, 1), random_images(1500, 2)};  // more than one round of tests
};

TEST_P(CudaMlp, TrainsAsOnHosts) {
  with_both(GetParam(), data_, [&](mnist::Model& host, mnist::Model& device, const Network& net) {
    ASSERT_EQ(host.parameters(), device.parameters());
    std::vector<std::size_t> order(data_.train.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::ranges::reverse(order);
    double first_loss = 0;
    double loss = 0;
    for (std::size_t step = 0; step < 30; ++step) {
      const std::span<const std::size_t> batch = std::span(order).subspan(step * 37 % 250, 50);
      host.backward(batch, 1.0F / 50);
      device.backward(batch, 1.0F / 50);
      ASSERT_LT(largest_difference({host.gradient(), net.parameter_count},
                                   {device.gradient(), net.parameter_count}),
                1e-5F)
          << "step " << step;
      host.descend(0.1F);
      device.descend(0.1F);
      if (step % 3 != 0) continue;  // losses add up in between
      loss = host.take_loss();
      ASSERT_NEAR(device.take_loss(), loss, 1e-3) << "step " << step;
      if (step == 0) first_loss = loss;
    }
    EXPECT_LT(loss / 3, first_loss);
    EXPECT_LT(largest_difference(host.parameters(), device.parameters()), 1e-4F);
  });
}

TEST_P(CudaMlp, TakesLocalStepsBackAsOnHosts) {
  with_both(GetParam(), data_, [&](mnist::Model& host, mnist::Model& device, const Network& net) {
    for (int round = 0; round < 2; ++round) {
      const std::vector<float> before = host.parameters();
      for (mnist::Model* const model : {&host, &device}) {
        model->begin_local();
        for (std::size_t local = 0; local < 4; ++local) {
          const std::vector<std::size_t> batch{4 * local, 4 * local + 1, 4 * local + 2};
          model->backward(batch, 1.0F / 3);
          model->descend(0.1F);
        }
        model->end_local(0.1F);
      }
      ASSERT_EQ(host.parameters(), before);
      ASSERT_LT(largest_difference(device.parameters(), before), 1e-4F);
      const float* const sum = host.gradient();
      EXPECT_GT(std::abs(*std::max_element(sum, sum + net.parameter_count)), 0);
      EXPECT_LT(
          largest_difference({sum, net.parameter_count}, {device.gradient(), net.parameter_count}),
          1e-3F);
      host.descend(0.1F);
      device.descend(0.1F);
    }
  });
}

TEST_P(CudaMlp, CountsAsOnHosts) {
  with_both(GetParam(), data_, [&](mnist::Model& host, mnist::Model& device, const Network&) {
    for (const auto& [first, last] : {std::pair{0, 1500}, {0, 0}, {3, 4}, {1000, 1500}}) {
      const auto from = static_cast<std::size_t>(first);
      const auto to = static_cast<std::size_t>(last);
      EXPECT_EQ(host.count_correct(from, to), device.count_correct(from, to))
          << first << " " << last;
    }
  });
}

TEST_P(CudaMlp, NanInTheParametersReachesTheLoss) {
  with_both(GetParam(), data_, [&](mnist::Model&, mnist::Model& device, const Network& net) {
    const std::vector<std::size_t> batch{1, 2, 3};
    device.backward(batch, 1);
    std::fill_n(device.gradient(), net.parameter_count, NAN);
    device.descend(1);
    static_cast<void>(device.take_loss());
    device.backward(batch, 1);
    EXPECT_TRUE(std::isnan(device.take_loss()));
  });
}

INSTANTIATE_TEST_SUITE_P(, CudaMlp,
                         testing::Values(std::vector<std::size_t>{20, 10},
                                         std::vector<std::size_t>{20, 13, 10},
                                         std::vector<std::size_t>{20, 17, 9, 31, 10}));

}  // namespace
