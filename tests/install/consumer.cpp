// A user's C++ program: two ranks are threads, each sends 1 % of a gradient.
#include <sparccl/schedule.hpp>
#include <sparccl/sparccl.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdio>
#include <exception>
#include <span>
#include <thread>
#include <vector>

int main() {
  try {
    constexpr std::size_t count = 10'000;
    constexpr int world_size = 2;
    std::vector<sparccl::Communicator> ranks = sparccl::Communicator::local(world_size);
    std::vector<std::vector<float>> results(world_size, std::vector<float>(count));
    std::vector<std::thread> threads;
    for (int rank = 0; rank < world_size; ++rank) {
      threads.emplace_back([&, rank] {
        std::vector<float> gradient(count);
        for (std::size_t i = 0; i < count; ++i) {
          gradient[i] = static_cast<float>((i * 7919 + static_cast<std::size_t>(rank)) % count);
        }
        sparccl::Options options;
        options.density = 0.01;
        const auto self = static_cast<std::size_t>(rank);
        sparccl::SparseAllreduce layer(ranks[self], "layer", count, sparccl::DataType::float32,
                                       options);
        layer.set_density(sparccl::DgcWarmup(0.01, 1)(100));
        layer(std::span<const float>(gradient), std::span<float>(results[self]));
      });
    }
    for (std::thread& thread : threads) thread.join();
    const auto sent =
        std::count_if(results[0].begin(), results[0].end(), [](float x) { return x != 0; });
    if (results[0] != results[1] || sent < 100 || sent > 200) {
      std::printf("expected 100 to 200 entries, alike on both ranks; found %td\n", sent);
      return 1;
    }
    std::printf("sparccl %d: %td of %zu entries\n", sparccl::version(), sent, count);
    return 0;
  } catch (const std::exception& error) {
    std::printf("%s\n", error.what());
    return 1;
  }
}
