// What the command line asks for.
#pragma once

#include <sparccl/types.hpp>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace mnist {

enum class Method { dense, topk, regtopk };

/// "dense", "topk" or "regtopk".
[[nodiscard]] const char* name_of(Method method) noexcept;

/// host: Eigen, over MPI or threads. cuda: cuBLAS, over NCCL.
enum class BackendName { host, cuda };

/// "host" or "cuda".
[[nodiscard]] const char* name_of(BackendName backend) noexcept;

enum class ProgressStyle { automatic, bar, lines, none };

struct Config {
  std::filesystem::path data = TRAIN_MNIST_DATA;
  BackendName backend = BackendName::host;
  int ranks = 0;  ///< to be started by the program itself; 0: none
  std::vector<Method> methods{Method::dense, Method::topk, Method::regtopk};
  std::vector<std::size_t> hidden{512, 256};  ///< widths of the hidden layers
  std::size_t epochs = 30;
  std::size_t batch = 128;  ///< images per step, over all ranks
  double learning_rate = 0.4;
  double density = 0.001;
  double mu = 2.0;  ///< of RegTop-k
  sparccl::DataType wire = sparccl::DataType::float32;
  std::size_t warmup = 0;  ///< steps per stage of sparccl::DgcWarmup; 0: none
  std::uint64_t seed = 1;
  std::filesystem::path json;  ///< empty: not written
  ProgressStyle progress = ProgressStyle::automatic;
};

/// Either a configuration, or what to print and return where there is nothing to run (--help, or an
/// error).
struct ParsedCommandLine {
  std::optional<Config> config;
  int exit_status = 0;
  std::string output;
  std::string error;
};

/// Prints nothing: every rank parses the same words.
[[nodiscard]] ParsedCommandLine parse_command_line(int argc, char** argv);

}  // namespace mnist
