// What was measured: a table for people, JSON for programs.
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "config.hpp"
#include "network.hpp"
#include "trainer.hpp"

namespace mnist {

/// What all methods have in common.
struct RunInfo {
  int ranks = 1;
  std::string device;  ///< what computes; empty: the host
  Network network;
  std::size_t training_images = 0;
  std::size_t test_images = 0;
};

/// Plain ASCII, newline at the end.
[[nodiscard]] std::string table(const Config& config, const RunInfo& info,
                                std::span<const MethodResult> results);

/// See examples/plot_training.py for a reader of it.
[[nodiscard]] std::string json(const Config& config, const RunInfo& info,
                               std::span<const MethodResult> results);

}  // namespace mnist
