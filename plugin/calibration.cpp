#include "calibration.hpp"

#include <cstdlib>
#include <fstream>
#include <iterator>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "probe_clock.hpp"

namespace sparccl {
namespace {

constexpr double asks_for_probe = 0, asks_for_off = 1, asks_for_file = 2;

std::string wish_of(const CommunicatorOptions& options) {
  if (!options.calibration.empty()) return options.calibration;
  const char* const variable = std::getenv("SPARCCL_CALIBRATION");
  return variable != nullptr && *variable != '\0' ? variable : "probe";
}

double kind_of(const std::string& wish) {
  if (wish == "probe") return asks_for_probe;
  return wish == "off" ? asks_for_off : asks_for_file;
}

std::string show(double kind) {
  if (kind == asks_for_probe) return "\"probe\"";
  return kind == asks_for_off ? "\"off\"" : "a file";
}

/// The first rank that differs from rank 0 ends the agreement, on every rank alike.
void require_equal(const std::vector<double>& all, const char* what,
                   const std::function<std::string(double)>& shown) {
  for (std::size_t rank = 1; rank < all.size(); ++rank) {
    if (all[rank] == all[0]) continue;
    throw Error(Result::mismatch, std::string("calibration: expected ") + what +
                                      " of rank 0 on every rank, " + shown(all[0]) +
                                      ", found on rank " + std::to_string(rank) + " " +
                                      shown(all[rank]) +
                                      "; set CommunicatorOptions::calibration or "
                                      "SPARCCL_CALIBRATION alike everywhere");
  }
}

std::string read_text(const std::filesystem::path& path) {
  std::error_code failure;
  if (!std::filesystem::is_directory(path, failure)) {
    std::ifstream file(path, std::ios::binary);
    std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
    if (file.is_open() && !file.bad()) return text;
  }
  throw Error(Result::bad_state, "calibration file " + path.string() +
                                     ": cannot be read; make one with sparccl_plan --probe --save, "
                                     "or set SPARCCL_CALIBRATION=probe");
}

/// Every rank reads its own copy, and hears whether all of them can be used and are the same.
Costs from_file(Communicator::Impl& communicator, ProbeClock& clock,
                const std::filesystem::path& path) {
  Machine here;
  communicator.carry_out("calibration", [&] { here = machine_of(communicator); });
  std::optional<Error> failure;
  Costs costs;
  double hash = 0;
  try {
    const std::string text = read_text(path);
    costs = parse_costs(text, path);
    require_same(costs.machine, here, path);
    hash = static_cast<double>(XXH64(text.data(), text.size(), 0) >> 12);  // exact in a double
  } catch (const Error& error) {
    failure = error;
  }
  std::vector<double> failed, hashes;
  communicator.carry_out("calibration", [&] {
    failed = clock.gather(failure ? 1 : 0);
    hashes = clock.gather(hash);
  });
  if (failure) throw Error(*failure);
  for (std::size_t rank = 0; rank < failed.size(); ++rank) {
    if (failed[rank] == 0) continue;
    throw Error(Result::bad_state,
                "calibration file: expected one that every rank can use, found "
                "that rank " +
                    std::to_string(rank) + " cannot: its error says why");
  }
  require_equal(hashes, "the file", [](double) { return std::string("one of other content"); });
  return costs;
}

}  // namespace

std::optional<Costs> calibrate(Communicator::Impl& communicator, const CommunicatorOptions& options,
                               Stream stream) {
  const std::string wish = wish_of(options);
  std::optional<ProbeClock> clock;
  std::vector<double> kinds;
  communicator.carry_out("calibration", [&] {
    clock.emplace(communicator, stream);
    kinds = clock->gather(kind_of(wish));
  });
  require_equal(kinds, "the calibration", show);
  if (kinds[0] == asks_for_off) return std::nullopt;
  if (kinds[0] == asks_for_file) return from_file(communicator, *clock, wish);
  return probe(communicator, stream);
}

Costs load_costs(const std::filesystem::path& path) { return parse_costs(read_text(path), path); }

void save_costs(const Costs& costs, const std::filesystem::path& path) {
  const std::string text = text_of(costs);
  std::error_code failure;
  // Another file takes a file's place once it is whole: not that of a link, a pipe or a device.
  const bool special =
      std::filesystem::is_symlink(path, failure) ||
      (std::filesystem::exists(path, failure) && !std::filesystem::is_regular_file(path, failure));
  std::filesystem::path beside = path;
  if (!special) beside += ".part";
  std::ofstream file(beside, std::ios::binary);
  file << text;
  file.close();
  failure.clear();
  if (file && !special) std::filesystem::rename(beside, path, failure);
  if (file && !failure) return;
  if (!special) std::filesystem::remove(beside, failure);
  throw Error(Result::system_error, "calibration file " + path.string() +
                                        ": cannot be written; is there such a folder, and room?");
}

void require_same(const Machine& expected, const Machine& found,
                  const std::filesystem::path& path) {
  const auto compare = [&](const char* what, const auto& wanted, const auto& seen) {
    if (wanted == seen) return;
    const auto show = [](const auto& value) {
      if constexpr (std::is_integral_v<std::decay_t<decltype(value)>>) {
        return std::to_string(value);
      } else {
        return "\"" + value + "\"";
      }
    };
    throw Error(Result::bad_state, "calibration file " + path.string() +
                                       ": expected the hardware that it was " + "measured on, " +
                                       what + " " + show(wanted) + ", found " + show(seen) +
                                       "; measure here with sparccl_plan --probe --save, or set "
                                       "SPARCCL_CALIBRATION=probe");
  };
  compare("CPU", expected.cpu, found.cpu);
  compare("number of cores", expected.cores, found.cores);
  compare("GPU", expected.gpu, found.gpu);
  compare("backend", expected.backend, found.backend);
  compare("transport", expected.transport, found.transport);
  compare("world size", expected.world_size, found.world_size);
  compare("ranks per node", expected.ranks_per_node, found.ranks_per_node);
}

}  // namespace sparccl
