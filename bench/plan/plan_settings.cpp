#include "plan_settings.hpp"

#include <cmath>
#include <cstdlib>
#include <initializer_list>
#include <vector>

#include <CLI/CLI.hpp>

#include "plan_ranks.hpp"
#include "units.hpp"

namespace sparccl::bench {
namespace {

constexpr const char* known_types = "float32, float16, bfloat16 or float64 (float, half, double)";

DataType read_type(const char* option, const std::string& text) {
  for (const DataType type :
       {DataType::float32, DataType::float16, DataType::bfloat16, DataType::float64}) {
    if (text == name_of(type)) return type;
  }
  if (text == "float") return DataType::float32;
  if (text == "half") return DataType::float16;
  if (text == "double") return DataType::float64;
  throw UsageError(std::string(option) + ": expected " + known_types + ", found \"" + text + "\"");
}

/// What a parser of units makes of an option's text.
template <class Parse>
std::optional<double> read(const char* option, const std::string& text, const std::string& expected,
                           const Parse& parse) {
  if (text.empty()) return std::nullopt;
  const std::optional<double> value = parse(text);
  if (value) return value;
  throw UsageError(std::string(option) + ": expected " + expected + ", found \"" + text + "\"");
}

std::string with_unit(const char* units, const char* like) {
  return std::string("a positive number with its unit, as ") + like + " (" + units + ")";
}

/// As one of several, whichever MPI's launcher it was.
bool one_of_several() {
  for (const char* name : {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE"}) {
    const char* const size = std::getenv(name);
    if (size != nullptr && std::atoi(size) > 1) return true;
  }
  return false;
}

bool started_by_mpirun() {
  for (const char* name : {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "PMIX_RANK"}) {
    if (std::getenv(name) != nullptr) return true;
  }
  return false;
}

void require(bool holds, const std::string& otherwise) {
  if (!holds) throw UsageError(otherwise);
}

/// What a probe leaves no use for: refused, for who gives it expects it to count.
void check_probe(const PlanSettings& s, const CLI::App& app) {
  std::vector<const char*> measured = {"--latency", "--node-bandwidth", "--node-latency"};
  if (s.transport == "local") measured.push_back("--bandwidth");  // memory has no rated link
  for (const char* const option : measured) {
    require(app.count(option) == 0,
            std::string(option) +
                ": --probe measures it here; to predict for another network, save what was "
                "measured with --probe --save FILE, then ask --calibration FILE " +
                option + " ...");
  }
  for (const char* const option : {"--ranks", "--density", "--type", "--wire"}) {
    require(
        s.count != 0 || app.count(option) == 0,
        std::string(option) + ": expected --count as well: --probe predicts nothing without it");
  }
  require(s.transport == "local" || s.threads == 0,
          "-t: expected --transport local as well, or -t left out: under mpirun its processes "
          "are the ranks");
}

void complete(PlanSettings& s, const CLI::App& app) {
  if (s.backend.empty() && s.calibration.empty()) s.backend = "host";
  require(s.wire != DataType::float64 || s.type == DataType::float64,
          "--wire float64: expected a narrower type, or --type float64 as well");
  require(!s.probe || s.calibration.empty(),
          "--probe and --calibration: expected one of them: to measure, or to read what was "
          "measured");
  require(s.save.empty() || s.probe, "--save: expected --probe as well: there is nothing to save");
  require(s.count != 0 || s.probe, "--count: expected the number of entries of the tensor");
  if (s.probe) {
    if (s.transport.empty()) s.transport = started_by_mpirun() ? "mpi" : "local";
    require(s.transport != "local" || s.threads > 0,
            "--probe: expected --transport local -t N (ranks that are threads), or to be started "
            "by mpirun");
    require(s.transport != "local" || !one_of_several(),
            "--transport local: every process of mpirun would measure on its own; leave it out");
    require(s.transport != "mpi" || have_mpi,
            "--transport mpi: this sparccl_plan was built without MPI; configure with "
            "-DSPARCCL_MPI=ON, or use --transport local -t N");
    check_probe(s, app);
    return;
  }
  require(s.threads == 0 && s.transport.empty(), "--transport, -t: expected --probe as well");
  require(!s.calibration.empty() || s.bandwidth.has_value(),
          "--bandwidth: expected the network's, for example --bandwidth 10gbit; or --probe to "
          "measure it, or --calibration FILE");
  require(!s.calibration.empty() || s.latency.has_value(),
          "--latency: expected the network's, for example --latency 50us; or --probe to measure "
          "it, or --calibration FILE");
  require(!s.calibration.empty() || s.ranks > 0, "--ranks: expected the number of ranks");
}

}  // namespace

std::optional<PlanSettings> parse_plan(int argc, char** argv) {
  PlanSettings s;
  std::string count, density, bandwidth, latency, node_bandwidth, node_latency, type, wire;
  CLI::App app(
      "Predicts how long a sparse allreduce takes on each path, and whether it is faster than a "
      "dense one.\n"
      "  sparccl_plan --count 25M --density 0.001 --ranks 8 --bandwidth 1gbit --latency 50us\n"
      "  mpirun -n 4 sparccl_plan --probe --save here.json --count 25M\n"
      "  sparccl_plan --calibration here.json --count 25M --density 0.01");
  app.name("sparccl_plan");
  app.add_option("-n,--count", count, "entries of the tensor: 25000000, 25M, 70G (of 1000)");
  app.add_option("-d,--density", density,
                 "share of the entries that is sent: 0.001 or 0.1%, the same; default 0.001");
  app.add_option("-p,--ranks", s.ranks, "ranks; by default those that were measured")
      ->check(CLI::Range(1, 1 << 24));
  app.add_option("-b,--bandwidth", bandwidth,
                 "of each node's link, with its unit: 100mbit, 25gbit, 12GB/s. With --probe under "
                 "mpirun: what the link is rated at, so that the rest counts as processor time");
  app.add_option("-l,--latency", latency, "of a message, with its unit: 800ns, 50us, 1ms, 0.1s");
  auto* const per_node = app.add_option("-r,--ranks-per-node", s.ranks_per_node,
                                        "ranks that share a node's link; default as measured, or 1")
                             ->check(CLI::Range(1, 1024));
  app.add_option("--node-bandwidth", node_bandwidth,
                 "between ranks of a node; default as measured, or 10GB/s");
  app.add_option("--node-latency", node_latency,
                 "between ranks of a node; default as measured, or 1us");
  app.add_option("--type", type,
                 std::string("of the entries: ") + known_types + "; default float32");
  app.add_option("--wire", wire, "type of the values sent; default: --type");
  app.add_option("--backend", s.backend,
                 "whose stages to measure; default host. A calibration file has its own")
      ->check(CLI::IsMember({"host", "cuda"}));
  app.add_option("-c,--calibration", s.calibration, "take costs from this file");
  app.add_flag("--probe", s.probe, "measure latency, bandwidth and stages here first");
  app.add_option("--transport", s.transport, "what --probe measures: mpi (under mpirun) or local")
      ->check(CLI::IsMember({"local", "mpi"}));
  app.add_option("-t,--threads", s.threads, "ranks of --transport local")
      ->check(CLI::Range(1, 256));
  app.add_option("--save", s.save, "write what --probe measured to this file");
  app.add_flag("--json", s.json, "print JSON");
  app.footer(std::string("Units of bandwidths: ") + bandwidth_units +
             "\nUnits of times: " + time_units);
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    std::fputs(app.help().c_str(), stdout);
    return std::nullopt;
  } catch (const CLI::ParseError& error) {
    throw UsageError(std::string(error.what()) + "; sparccl_plan --help lists what there is");
  }
  if (const auto entries = read("--count", count, "something like 25000000 or 25M", parse_count)) {
    require(*entries >= 1 && *entries <= 0x1p48,
            "--count: expected 1 to 2^48 entries, found " + count);
    s.count = static_cast<std::size_t>(*entries);
  }
  s.density = read("--density", density, "a share from 1e-12 to 1, as 0.001, or 0.1% for the same",
                   parse_density)
                  .value_or(s.density);
  if (!type.empty()) s.type = read_type("--type", type);
  s.wire = wire.empty() ? s.type : read_type("--wire", wire);
  const std::string rate = with_unit(bandwidth_units, "1gbit or 12GB/s");
  const std::string time = with_unit(time_units, "50us");
  s.bandwidth = read("--bandwidth", bandwidth, rate, parse_bandwidth);
  s.latency = read("--latency", latency, time, parse_seconds);
  s.node_bandwidth = read("--node-bandwidth", node_bandwidth, rate, parse_bandwidth);
  s.node_latency = read("--node-latency", node_latency, time, parse_seconds);
  if (per_node->count() == 0) s.ranks_per_node = 0;  // as measured, or 1
  complete(s, app);
  return s;
}

}  // namespace sparccl::bench
