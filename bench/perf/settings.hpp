// What sparccl_perf is asked to measure: nccl-tests' flags with nccl-tests' meanings, and its own.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <sparccl/types.hpp>

namespace sparccl::perf {

/// -a: what one figure for all ranks is made of.
enum class Average { rank0 = 0, mean = 1, min = 2, max = 3 };

struct Settings {
  std::vector<std::size_t> sizes;  // bytes of the dense tensor, ascending
  std::vector<DataType> types = {DataType::float32};
  std::vector<Reduction> reductions = {Reduction::sum};
  int threads = 0;  // -t; 0: not given
  int gpus = 0;     // -g; 0: not given
  int iterations = 20;
  int warmup = 5;
  int checks = 2;  ///< from the second on, RegTop-k has a history
  int repeats = 5;
  Average average = Average::max;

  std::vector<double> densities = {0.001};
  double mu = 2.0;
  std::optional<DataType> wire;
  std::vector<Path> paths = {Path::automatic};
  bool every_path = false;  // --path all: those that the ranks do not allow are passed over
  bool out_of_place = true;
  bool in_place = true;

  std::string transport;  // local, mpi, nccl
  std::string backend = "host";
  int ranks_per_node = 0;
  std::string calibration;
  std::vector<std::string> baselines;  // of mpi, gloo, naive
  std::string json;                    // a file; "-": stdout; empty: none
  std::string command;                 // as typed

  /// Of this process, where they are threads.
  [[nodiscard]] int thread_count() const { return threads * gpus; }
};

/// What argv asks for. Nothing after --help, which is printed. Throws UsageError.
[[nodiscard]] std::optional<Settings> parse(int argc, const char* const* argv);

/// nccl-tests' names: half, bfloat16, float, double.
[[nodiscard]] const char* type_name(DataType type);

/// "32M": a number and K, M, G or T, which are powers of 1024. Throws UsageError naming the flag.
[[nodiscard]] std::size_t parse_bytes(const std::string& text, const std::string& flag);

/// What this process is by the variables that mpirun sets; of a process of its own: 0 and 1.
struct Launch {
  int rank = 0;
  int size = 1;
};
[[nodiscard]] Launch launched();

}  // namespace sparccl::perf
