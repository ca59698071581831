// What the command line asks for.
#pragma once

#include <sparccl/types.hpp>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "study/method.hpp"
#include "study/progress.hpp"

namespace mnist {

using study::Method;
using study::name_of;

/// host: Eigen, over MPI or threads. cuda: cuBLAS, over NCCL.
enum class BackendName { host, cuda };

/// "host" or "cuda".
[[nodiscard]] const char* name_of(BackendName backend) noexcept;

/// Where a rank's images come from: all of them; a shard of its own, mixed; or one of images that
/// were sorted by their labels, so that each rank sees few classes.
enum class Shards { none, mixed, sorted };

/// "none", "mixed" or "sorted".
[[nodiscard]] const char* name_of(Shards shards) noexcept;

/// Of --study: a few minutes of the perceptron's, all of it, or one of a convolutional network.
enum class StudyName { quick, full, convolutional };

/// "quick", "full" or "convolutional".
[[nodiscard]] const char* name_of(StudyName study) noexcept;

using study::ProgressStyle;

struct Config {
  std::filesystem::path data = TRAIN_MNIST_DATA;
  std::filesystem::path cifar10;  ///< in place of `data`; empty: not
  BackendName backend = BackendName::host;
  int ranks = 0;  ///< to be started by the program itself; 0: none
  std::vector<Method> methods{Method::dense, Method::topk, Method::regtopk};
  std::vector<std::size_t> convolutions;      ///< channels of each, before the perceptron
  std::vector<std::size_t> hidden{512, 256};  ///< widths of the hidden layers
  std::size_t epochs = 30;
  std::size_t steps = 0;        ///< averages of gradients, in place of epochs; 0: by epochs
  std::size_t batch = 128;      ///< images per step, over all ranks
  std::size_t local_steps = 1;  ///< of each rank on its own, before gradients are averaged
  Shards shards = Shards::none;
  double learning_rate = 0.4;
  double density = 0.001;
  double mu = 2.0;  ///< of RegTop-k
  sparccl::DataType wire = sparccl::DataType::float32;
  std::size_t warmup = 0;  ///< steps per stage of sparccl::DgcWarmup; 0: none
  double accordion = 0;  ///< the high density of sparccl::Accordion, `density` is the low; 0: none
  std::size_t interval = 50;  ///< steps of one of sparccl::Accordion's
  std::size_t points = 40;    ///< of the curve, about
  std::uint64_t seed = 1;
  std::filesystem::path json;  ///< empty: not written
  ProgressStyle progress = ProgressStyle::automatic;
  std::optional<StudyName> study;  ///< many trainings in place of one; `json` keeps them
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
