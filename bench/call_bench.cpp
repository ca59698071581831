// Times whole calls over MPI: a SparseAllreduce against the dense MPI_Allreduce of the same tensor,
// in turn, from a common start to the last rank's end. One line, printed by rank 0.
#include <mpi.h>

#include <algorithm>
#include <cstdio>
#include <exception>
#include <fstream>
#include <random>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <sparccl/mpi.hpp>

namespace {

struct Settings {
  std::size_t count = 25'000'000;
  double density = 0.001;
  double mu = 2.0;
  int repeats = 15;
  int warmup = 3;
  std::string json;
};

/// Milliseconds from when all ranks stand ready to when the last is done.
double milliseconds(auto&& work) {
  MPI_Barrier(MPI_COMM_WORLD);
  const double start = MPI_Wtime();
  work();
  double mine = 1e3 * (MPI_Wtime() - start);
  double slowest = 0;
  MPI_Allreduce(&mine, &slowest, 1, MPI_DOUBLE, MPI_MAX, MPI_COMM_WORLD);
  return slowest;
}

double median(std::vector<double> values) {
  std::ranges::sort(values);
  return values[values.size() / 2];
}

void run(const Settings& settings) {
  const sparccl::Communicator communicator = sparccl::mpi_communicator(MPI_COMM_WORLD);
  sparccl::SparseAllreduce sparse(communicator, "bench", settings.count, sparccl::DataType::float32,
                                  {.density = settings.density, .mu = settings.mu});
  std::vector<float> gradient(settings.count), result(settings.count);
  std::minstd_rand random(static_cast<unsigned>(communicator.rank() + 1));
  std::normal_distribution<float> normal;
  for (float& g : gradient) g = normal(random);

  std::vector<double> dense_ms, sparse_ms, ratio;
  for (int i = -settings.warmup; i < settings.repeats; ++i) {
    const double dense = milliseconds([&] {
      MPI_Allreduce(gradient.data(), result.data(), static_cast<int>(settings.count), MPI_FLOAT,
                    MPI_SUM, MPI_COMM_WORLD);
    });
    const double ours = milliseconds([&] { sparse(gradient.data(), result.data()); });
    if (i < 0) continue;
    dense_ms.push_back(dense);
    sparse_ms.push_back(ours);
    ratio.push_back(ours / dense);
  }
  if (communicator.rank() != 0) return;
  const sparccl::Stats stats = sparse.stats();
  const double steps = static_cast<double>(stats.steps);
  const auto per_step_ms = [&](double seconds) { return 1e3 * seconds / steps; };
  std::printf(
      "%d ranks, n = %zu float32, density %g %%, medians of %d, milliseconds\n"
      "MPI_Allreduce %.2f   SparseAllreduce %.2f   ratio %.3f\n"
      "rank 0, means: wait %.2f accumulate %.2f select %.2f pack %.2f exchange %.2f merge %.2f\n"
      "bytes sent per rank: dense %.0f, sparse %.0f\n",
      communicator.size(), settings.count, 100 * settings.density, settings.repeats,
      median(dense_ms), median(sparse_ms), median(ratio), per_step_ms(stats.seconds.wait),
      per_step_ms(stats.seconds.accumulate), per_step_ms(stats.seconds.select),
      per_step_ms(stats.seconds.pack), per_step_ms(stats.seconds.exchange),
      per_step_ms(stats.seconds.merge), static_cast<double>(stats.dense_bytes) / steps,
      static_cast<double>(stats.wire_bytes) / steps);
  if (settings.json.empty()) return;
  std::ofstream file(settings.json);
  file << nlohmann::json{{"ranks", communicator.size()},   {"count", settings.count},
                         {"density", settings.density},    {"mu", settings.mu},
                         {"repeats", settings.repeats},    {"dense_ms", median(dense_ms)},
                         {"sparse_ms", median(sparse_ms)}, {"ratio", median(ratio)}}
              .dump(2)
       << '\n';
  if (!file) throw std::runtime_error("cannot write " + settings.json);
}

}  // namespace

int main(int argc, char** argv) {
  Settings settings;
  CLI::App app("Times whole sparse allreduces against MPI_Allreduce. Start it with mpirun.");
  app.add_option("-n,--count", settings.count, "entries of the tensor (float32)")
      ->capture_default_str()
      ->check(CLI::Range(std::size_t{1}, std::size_t{1} << 30));
  app.add_option("-d,--density", settings.density)
      ->capture_default_str()
      ->check(CLI::Range(1e-9, 1.0));
  app.add_option("--mu", settings.mu)->capture_default_str()->check(CLI::NonNegativeNumber);
  app.add_option("-r,--repeats", settings.repeats)
      ->capture_default_str()
      ->check(CLI::Range(1, 10000));
  app.add_option("--json", settings.json, "write the figures to this file as well");
  CLI11_PARSE(app, argc, argv);

  MPI_Init(&argc, &argv);
  try {
    run(settings);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "call_bench: %s\n", error.what());
    MPI_Abort(MPI_COMM_WORLD, 1);
  }
  MPI_Finalize();
  return 0;
}
