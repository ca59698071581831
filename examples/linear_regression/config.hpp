// What the command line asks for.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "descent.hpp"

namespace regression {

struct Config {
  Shape shape;
  std::vector<Method> methods{Method::dense, Method::topk, Method::regtopk};
  std::vector<double> densities{0.4, 0.5, 0.55, 0.6, 0.65, 0.9};
  std::vector<double> mus{0.5, 1, 2, 4, 8, 16};
  std::vector<sparccl::DataType> types{sparccl::DataType::float64, sparccl::DataType::float32};
  double late_mu = 0;  ///< 0: mu stays
  std::size_t late_from = 1500;
  std::uint64_t seeds = 12;
  std::filesystem::path problems;  ///< folder of numpy_problems.py; empty: drawn here
  double step = 0.01;
  std::size_t rounds = 2500;
  std::filesystem::path json;  ///< empty: not written
  bool quiet = false;
};

/// Either a configuration, or what to print and return where there is nothing to run.
struct ParsedCommandLine {
  std::optional<Config> config;
  int exit_status = 0;
  std::string output;
  std::string error;
};

[[nodiscard]] ParsedCommandLine parse_command_line(int argc, char** argv);

}  // namespace regression
