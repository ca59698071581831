// The same training with a dense, a Top-k and a RegTop-k allreduce, and what each of them cost.

#include <mpi.h>

#include <sparccl/mpi.hpp>
#include <sparccl/sparccl.hpp>

#include <cstdint>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <iostream>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "config.hpp"
#include "idx.hpp"
#include "progress.hpp"
#include "report.hpp"
#include "trainer.hpp"

namespace {

using mnist::Config;

/// Whether `error` is empty on every rank. The first rank that has one prints it.
bool all_well(sparccl::Communicator communicator, const std::string& error) {
  const auto ranks = static_cast<std::int32_t>(communicator.size());
  std::int32_t first = error.empty() ? ranks : communicator.rank();
  communicator.all_reduce(&first, &first, 1, sparccl::DataType::int32, sparccl::Reduction::min);
  if (first == communicator.rank()) std::cerr << "train_mnist: " << error << std::endl;
  return first == ranks;
}

/// Opened before the training, so that a wrong path is known before, not after it.
std::ofstream open_json(const std::filesystem::path& path) {
  std::ofstream file;
  if (path.empty()) return file;
  if (path.has_parent_path()) std::filesystem::create_directories(path.parent_path());
  file.open(path);
  if (!file) throw std::runtime_error("--json: " + path.string() + " cannot be written");
  return file;
}

int run(const sparccl::Communicator& communicator, const Config& config) {
  const bool first = communicator.rank() == 0;
  mnist::Data data;
  std::ofstream json_file;
  std::string error;
  try {
    data.train = mnist::load(config.data, "train");
    data.test = mnist::load(config.data, "t10k");
    mnist::check(config, data, communicator.size());
    if (first) json_file = open_json(config.json);
  } catch (const std::exception& exception) {
    error = exception.what();
  }
  if (!all_well(communicator, error)) return EXIT_FAILURE;

  mnist::Progress progress(config.progress);
  const std::size_t steps_per_epoch = data.train.size() / config.batch;
  std::vector<mnist::MethodResult> results;
  for (const mnist::Method method : config.methods) {
    std::ostringstream title;
    title << "[" << results.size() + 1 << "/" << config.methods.size() << "] " << name_of(method);
    progress.begin(title.str(), config.epochs * steps_per_epoch, steps_per_epoch);
    results.push_back(
        mnist::train(communicator, method, config, data, first ? &progress : nullptr));
  }
  if (!first) return EXIT_SUCCESS;

  const mnist::RunInfo info{.ranks = communicator.size(),
                            .parameters = results.front().parameters,
                            .training_images = data.train.size(),
                            .test_images = data.test.size(),
                            .widths = widths(config, data)};
  std::cout << table(config, info, results) << std::flush;
  if (json_file.is_open()) {
    json_file << json(config, info, results);
    json_file.close();
    if (!json_file) throw std::runtime_error("--json: " + config.json.string() + ": disk full?");
  }
  return EXIT_SUCCESS;
}

}  // namespace

int main(int argc, char** argv) {
  MPI_Init(&argc, &argv);
  int rank = 0;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  int status = EXIT_FAILURE;
  try {
    const mnist::ParsedCommandLine parsed = mnist::parse_command_line(argc, argv, rank == 0);
    status = parsed.exit_status;
    if (parsed.config) status = run(sparccl::mpi_communicator(MPI_COMM_WORLD), *parsed.config);
  } catch (const std::exception& exception) {
    // The other ranks may be waiting for this one in a call that will never come.
    std::cerr << "train_mnist: rank " << rank << ": " << exception.what() << std::endl;
    MPI_Abort(MPI_COMM_WORLD, EXIT_FAILURE);
  }
  MPI_Finalize();
  return status;
}
