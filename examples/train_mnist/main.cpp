// The same training with a dense, a Top-k and a RegTop-k allreduce, and what each of them cost.

#include <algorithm>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <iostream>
#include <memory>
#include <optional>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "backend.hpp"
#include "config.hpp"
#include "data.hpp"
#include "progress.hpp"
#include "ranks/processes.hpp"
#include "ranks/world.hpp"
#include "report.hpp"
#include "study_run.hpp"
#include "trainer.hpp"

namespace {

using mnist::Config;
using mnist::World;

/// Hours of work, where --study was forgotten.
bool is_of_a_study(const std::filesystem::path& path) {
  constexpr std::string_view beginning = "{\"about\": ";  // as study::Study writes it
  std::string found(beginning.size(), ' ');
  std::ifstream(path).read(found.data(), static_cast<std::streamsize>(found.size()));
  return found == beginning;
}

/// Opened before the training, so that a wrong path is known before, not after it.
std::ofstream open_json(const std::filesystem::path& path) {
  std::ofstream file;
  if (path.empty()) return file;
  if (is_of_a_study(path)) {
    throw std::runtime_error("--json: " + path.string() +
                             " is of a study: give --study as well, or name another file");
  }
  if (path.has_parent_path()) std::filesystem::create_directories(path.parent_path());
  file.open(path);
  if (!file) throw std::runtime_error("--json: " + path.string() + " cannot be written");
  return file;
}

/// The body of every rank.
int run(World& world, const Config& config) {
  const bool first = world.rank() == 0;
  mnist::Data data;
  std::ofstream json_file;
  std::string error;
  try {
    data = mnist::load_data(config);
    mnist::check(config, data, world.size());
    if (first) json_file = open_json(config.json);
  } catch (const std::exception& exception) {
    error = exception.what();
  }
  world.agree(error);
  const std::unique_ptr<mnist::Backend> backend = config.backend == mnist::BackendName::cuda
                                                      ? mnist::cuda_backend(world)
                                                      : mnist::host_backend(world);

  mnist::Progress progress(config.progress);
  const std::size_t steps = mnist::steps_of(config, data);
  const std::size_t steps_per_epoch =
      std::max<std::size_t>(1, data.train.size() / config.batch / config.local_steps);
  std::vector<mnist::MethodResult> results;
  for (const mnist::Method method : config.methods) {
    std::ostringstream title;
    title << "[" << results.size() + 1 << "/" << config.methods.size() << "] " << name_of(method);
    progress.begin(title.str(), steps, steps_per_epoch);
    const auto tell = [&](std::size_t done, const mnist::CurvePoint& last) {
      if (first) progress.update(done, last.training_loss, last.test_accuracy);
    };
    results.push_back(mnist::train(*backend, method, config, data, tell));
  }
  if (!first) return EXIT_SUCCESS;

  const mnist::RunInfo info{.ranks = world.size(),
                            .device = backend->device(),
                            .network = network_of(config, data),
                            .training_images = data.train.size(),
                            .test_images = data.test.size()};
  std::cout << table(config, info, results) << std::flush;
  if (json_file.is_open()) {
    json_file << json(config, info, results);
    json_file.close();
    if (!json_file) throw std::runtime_error("--json: " + config.json.string() + ": disk full?");
  }
  return EXIT_SUCCESS;
}

/// Why this configuration cannot run here, if so.
std::string obstacle(const Config& config) {
  if (config.backend == mnist::BackendName::cuda) {
    if (std::string missing = mnist::cuda_is_missing(); !missing.empty()) return missing;
    if (!config.convolutions.empty()) {
      return "--conv with --backend cuda: convolutions run on hosts alone; use --backend host";
    }
    if (config.accordion > 0) {
      return "--accordion with --backend cuda: it looks at means in host memory; use --backend "
             "host";
    }
  }
  if (config.ranks > 0 && mnist::ranks_of_mpirun() > 0) {
    return "--ranks starts ranks itself, and mpirun has started " +
           std::to_string(mnist::ranks_of_mpirun()) + " already: use one or the other";
  }
  return {};
}

int start(const mnist::ParsedCommandLine& parsed, char** argv) {
  if (!parsed.config) {
    return mnist::run_job([&parsed](World& world) {
      if (world.rank() == 0) {
        std::cout << parsed.output << std::flush;
        std::cerr << parsed.error << std::flush;
      }
      return parsed.exit_status;
    });
  }
  const Config& config = *parsed.config;
  if (config.study) {
    if (mnist::ranks_of_mpirun() > 0) {
      throw std::runtime_error("--study starts ranks itself, and mpirun has started " +
                               std::to_string(mnist::ranks_of_mpirun()) +
                               " already: leave mpirun out");
    }
    return mnist::run_study(config);
  }
  const mnist::Body body = [&config](World& world) { return run(world, config); };
  if (const std::optional<int> status = mnist::run_started(body)) return *status;
  if (const std::string why_not = obstacle(config); !why_not.empty()) {
    return mnist::run_job([&why_not](World& world) {
      world.agree(why_not);
      return EXIT_FAILURE;
    });
  }
  if (config.ranks == 0) return mnist::run_job(body);
  return config.backend == mnist::BackendName::cuda ? mnist::run_processes(config.ranks, argv)
                                                    : mnist::run_threads(config.ranks, body);
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return start(mnist::parse_command_line(argc, argv), argv);
  } catch (const std::exception& exception) {
    mnist::complain(exception.what());
    return EXIT_FAILURE;
  }
}
