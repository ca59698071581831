#include "measure.hpp"

#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "calibration_error.hpp"
#include "checks.hpp"
#include "failures.hpp"
#include "row.hpp"
#include "settings_rules.hpp"

namespace sparccl::perf {
namespace {

/// Where stderr is a terminal, the line that says how far it is.
class Progress {
 public:
  Progress(bool shown, std::size_t total) : shown_(shown && isatty(STDERR_FILENO)), total_(total) {}
  ~Progress() { clear(); }
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void next(const Case& what) {
    if (!shown_) return;
    std::fprintf(stderr, "\r\033[K%zu/%zu: %zu bytes of %s, density %g, path %s, %s", ++done_,
                 total_, what.bytes, type_name(what.type), what.density, name_of(what.asked),
                 what.in_place ? "in-place" : "out-of-place");
  }
  void clear() const {
    if (shown_) std::fprintf(stderr, "\r\033[K");
  }

 private:
  bool shown_;
  std::size_t total_;
  std::size_t done_ = 0;
};

std::string gibibytes(double bytes) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f GiB", bytes / (1 << 30));
  return text;
}

/// Collective: every rank throws if it is too little on any of them.
void require_memory(Ranks& ranks, Device& device, const Settings& settings) {
  const auto wanted = bytes_of_a_rank(settings, ranks.size()) *
                      (settings.transport == "nccl" ? 1 : ranks.ranks_here());
  const std::vector<double> here = ranks.gather(wanted);
  const std::vector<double> available = ranks.gather(static_cast<double>(device.available()));
  for (std::size_t rank = 0; rank < available.size(); ++rank) {
    if (here[rank] <= available[rank]) continue;
    throw UsageError("sizes of up to " + std::to_string(settings.sizes.back()) +
                     " bytes would take about " + gibibytes(here[rank]) + " where rank " +
                     std::to_string(rank) + " is, which has " + gibibytes(available[rank]) +
                     " left; use a smaller -e, fewer ranks, a lower --density or -c 0");
  }
}

/// Collective: rank 0 writes the file, and every rank throws the same if it could not.
void require_json(Ranks& ranks, const Settings& settings) {
  const std::string why = ranks.rank() == 0 ? unwritable(settings) : std::string();
  const std::string of_all = ranks.gather_words(why)[0];
  if (!of_all.empty()) throw UsageError(of_all);
}

int nodes_of(Ranks& ranks, const Settings& settings) {
  if (settings.ranks_per_node == 0) return ranks.hosts();
  if (ranks.size() % settings.ranks_per_node != 0) {
    throw UsageError("--ranks-per-node " + std::to_string(settings.ranks_per_node) +
                     ": expected a divisor of the number of ranks, which is " +
                     std::to_string(ranks.size()));
  }
  return ranks.size() / settings.ranks_per_node;
}

/// The paths that are measured. Throws UsageError where one of those named cannot be taken.
std::vector<Path> allowed_paths(const Settings& settings, const Setting& setting,
                                std::FILE* print_to) {
  std::vector<Path> allowed;
  for (const Path path : settings.paths) {
    const std::string why =
        forbidden(path, setting.ranks, setting.nodes, settings.ranks_per_node != 0);
    if (why.empty()) {
      allowed.push_back(path);
    } else if (!settings.every_path) {
      throw UsageError(why);
    } else if (print_to != nullptr) {
      print_note(print_to, "left out: " + why);
    }
  }
  return allowed;
}

std::vector<Case> cases_of(const Settings& s, const std::vector<Path>& paths, DataType type,
                           std::size_t bytes) {
  std::vector<Case> cases;
  for (const Reduction reduction : s.reductions) {
    for (const double density : s.densities) {
      for (const Path path : paths) {
        for (const bool in_place : {false, true}) {
          if (in_place ? !s.in_place : !s.out_of_place) continue;
          cases.push_back({bytes, bytes / size_of(type), type, reduction, density, s.mu,
                           s.wire.value_or(type), path, in_place});
        }
      }
    }
  }
  return cases;
}

void add(Figures& figures, const Measured& measured) {
  if (measured.row) figures.rows.push_back(*measured.row);
  figures.baselines.insert(figures.baselines.end(), measured.baselines.begin(),
                           measured.baselines.end());
  for (const std::string& why : measured.not_measured) {
    if (std::ranges::find(figures.not_measured, why) != figures.not_measured.end()) continue;
    figures.not_measured.push_back(why);
  }
}

}  // namespace

int measure_all(Ranks& ranks, const Settings& settings) {
  const bool first = ranks.rank() == 0;
  std::FILE* const out = table_of(settings);
  const std::unique_ptr<Device> device =
      settings.backend == "cuda" ? cuda_device(ranks, settings.transport == "nccl") : host_device();
  const Setting setting{ranks.size(), nodes_of(ranks, settings), ranks.ranks_here(),
                        device->name()};
  const std::vector<Path> paths = allowed_paths(settings, setting, first ? out : nullptr);
  require_json(ranks, settings);
  require_memory(ranks, *device, settings);
  require_exact(settings, ranks.size());
  CommunicatorOptions options;
  options.ranks_per_node = settings.ranks_per_node;
  options.calibration = settings.calibration;
  Communicator communicator = device->communicator(ranks.communicator(options));
  if (first) print_head(out, settings, setting);

  Figures figures;
  bool failed = false;
  Progress progress(first, settings.types.size() * settings.sizes.size() *
                               cases_of(settings, paths, settings.types[0], 0).size());
  for (const DataType type : settings.types) {
    for (const std::size_t bytes : settings.sizes) {
      RowRun run(ranks, *device, communicator, settings, type, bytes / size_of(type));
      std::vector<Measured> measured;
      for (const Case& what : cases_of(settings, paths, type, bytes)) {
        progress.next(what);
        try {
          measured.push_back(run.measure(what));
        } catch (const Error& error) {
          refuse_calibration(ranks, settings, error);
          throw;
        }
        failed = failed || !measured.back().row;
        if (what.in_place || !settings.in_place) {
          progress.clear();
          if (first) print_measured(out, measured);
          for (const Measured& each : measured) add(figures, each);
          measured.clear();
        }
      }
    }
  }
  if (first) {
    print_foot(out, settings, figures);
    if (!settings.json.empty()) write_json(settings, setting, figures);
  }
  return failed || figures.wrong() > 0 ? 1 : 0;
}

}  // namespace sparccl::perf
