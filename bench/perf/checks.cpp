#include "checks.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

#include "baselines.hpp"
#include "check.hpp"
#include "tensors.hpp"

namespace sparccl::perf {
namespace {

/// Over all ranks.
std::uint64_t sum_of(Ranks& ranks, std::uint64_t mine) {
  std::uint64_t sum = 0;
  for (const std::uint64_t each : ranks.gather(mine)) sum += each;
  return sum;
}

/// Of each rank, where Path::hierarchical finds it.
std::vector<int> nodes_of_ranks(Ranks& ranks, const Settings& settings) {
  const int each = settings.ranks_per_node;
  return ranks.gather(each > 0 ? ranks.rank() / each : ranks.host());
}

/// A tensor in the device's memory, and what of it the host has seen.
struct Shown {
  Shown(Device& device, std::size_t bytes) : memory(device.allocate(bytes)), host(bytes) {}
  Device::Buffer memory;
  std::vector<std::byte> host;
};

}  // namespace

std::uint64_t entries_sent(double density, std::size_t count) {
  const double rounded = std::round(density * static_cast<double>(count));
  return std::max<std::uint64_t>(1, static_cast<std::uint64_t>(rounded));
}

Options options_of(const Case& what) {
  Options options;
  options.density = what.density;
  options.mu = what.mu;
  options.wire = what.wire;
  options.reduction = what.reduction;
  options.path = what.asked;
  return options;
}

std::uint64_t check_sparse(Ranks& ranks, Device& device, Communicator& communicator,
                           const Settings& settings, const Case& what, Path path) {
  const Integers integers =
      exact_integers(what.type, what.wire, what.reduction, ranks.size(), settings.checks);
  Options options = options_of(what);
  options.path = path;
  SparseAllreduce tensor(communicator, "check", what.count, what.type, options);
  const CheckShape shape{what.count,
                         tensor.k(),
                         what.type,
                         what.reduction,
                         what.mu,
                         path,
                         nodes_of_ranks(ranks, settings)};
  Checker checker(ranks, shape, integers);
  const int known = Oracle::steps_known(path);
  Shown gradient(device, what.bytes);
  Shown result(device, what.in_place ? 0 : what.bytes);
  std::vector<std::byte> residual(what.count * size_of(accumulator_of(what.type)));
  // A device's tanh may differ by an ulp, which decides ties.
  const bool exact_scores = what.mu == 0 || settings.backend == "host";
  std::uint64_t wrong = 0;
  for (int step = 0; step < settings.checks; ++step) {
    checker.next(gradient.host);
    device.upload(gradient.memory.get(), gradient.host.data(), what.bytes);
    Shown& written = what.in_place ? gradient : result;
    tensor(gradient.memory.get(), written.memory.get(), 1.0, device.stream());
    device.synchronize();
    device.download(written.host.data(), written.memory.get(), what.bytes);
    device.download(residual.data(), tensor.residual(), residual.size());
    const bool told = step < known && (exact_scores || step == 0);
    const Expect expect = path == Path::dense ? Expect::dense
                          : told              ? Expect::oracle
                                              : Expect::conservation;
    wrong += sum_of(ranks, checker.wrong(written.host, residual, expect));
  }
  return wrong;
}

std::uint64_t check_baseline(Ranks& ranks, const std::string& name, const Settings& settings,
                             const Case& what) {
  const Integers integers =
      exact_integers(what.type, what.type, what.reduction, ranks.size(), settings.checks);
  const std::uint64_t k = entries_sent(what.density, what.count);
  const std::unique_ptr<Baseline> baseline =
      make_baseline(name, ranks, {what.count, k, what.type, what.reduction});
  Checker checker(ranks, {what.count, k, what.type, what.reduction}, integers);
  std::vector<std::byte> gradient(what.bytes), result(what.in_place ? 0 : what.bytes);
  std::uint64_t wrong = 0;
  for (int step = 0; step < settings.checks; ++step) {
    checker.next(gradient);
    std::vector<std::byte>& written = what.in_place ? gradient : result;
    (*baseline)(gradient.data(), written.data(), what.count);
    const std::span<const std::byte> residual = baseline->residual();
    // Which of equal entries it takes is its own affair.
    const Expect expect = residual.empty() ? Expect::dense : Expect::conservation;
    wrong += sum_of(ranks, checker.wrong(written, residual, expect));
  }
  return wrong;
}

}  // namespace sparccl::perf
