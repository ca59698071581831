// For train_mnist_test.py: ranks that fail on demand, while the others wait for them.
// usage: launcher_probe RANKS exit|kill|throw|agree|none    (what rank 1 does)
#include <array>
#include <csignal>
#include <cstdlib>
#include <iostream>
#include <stdexcept>
#include <string_view>

#include "ranks/processes.hpp"

int main(int count, char** words) {
  if (count != 3) return EXIT_FAILURE;
  const std::string_view what = words[2];
  const auto body = [what](mnist::World& world) {
    if (world.rank() == 1) {
      if (what == "exit") std::exit(3);
      if (what == "kill") std::raise(SIGKILL);
      if (what == "throw") throw std::runtime_error("thrown on purpose");
    }
    world.agree(what == "agree" && world.rank() == 1 ? "complained on purpose" : "");
    int sum = 0;
    for (int round = 1; round <= 100; ++round) {
      const std::array mine{static_cast<std::byte>(world.rank()), static_cast<std::byte>(round)};
      const std::vector<std::byte> all = world.all_gather(mine);
      for (std::size_t i = 0; i < all.size(); i += 2) {
        sum += std::to_integer<int>(all[i]);
        if (all[i + 1] != mine[1]) throw std::logic_error("expected bytes of the same round");
      }
    }
    if (world.rank() == 0) std::cout << world.size() << " ranks, sum " << sum << std::endl;
    return EXIT_SUCCESS;
  };
  if (const auto status = mnist::run_started(body)) return *status;
  return mnist::run_processes(std::atoi(words[1]), words);
}
