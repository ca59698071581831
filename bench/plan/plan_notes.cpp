#include "plan_notes.hpp"

#include <cstdio>

namespace sparccl::bench {

std::vector<std::string> notes_on_machine(const Machine& measured, const Machine& here,
                                          const PlanSettings& settings) {
  std::string differences;
  const auto compare = [&](const char* what, const std::string& there, const std::string& now) {
    if (there.empty() || there == "0" || there == now) return;  // unknown, or the same
    differences += (differences.empty() ? "" : "; ") + std::string(what) + " " + there + ", here " +
                   (now.empty() ? "none" : now);
  };
  compare("CPU", measured.cpu, here.cpu);
  compare("cores", std::to_string(measured.cores), std::to_string(here.cores));
  compare("GPU", measured.gpu, here.gpu);
  if (differences.empty()) return {};
  return {"calibration file " + settings.calibration + " is of other hardware (" + differences +
          "): what is predicted holds there. To predict for this machine, measure here with "
          "--probe --save FILE"};
}

/// A rank alone measures no network: there is nothing of it to carry over to more ranks.
std::vector<std::string> notes_on_ranks(const Machine& measured, const PlanSettings& settings) {
  if (measured.world_size < 2 || settings.ranks < 2 || settings.ranks == measured.world_size) {
    return {};
  }
  const std::string those = std::to_string(measured.world_size);
  std::string note = std::to_string(settings.ranks) + " ranks are predicted from what " + those +
                     " ranks took: an extrapolation";
  if (!settings.bandwidth || !settings.latency) {
    const bool threads = measured.transport == "local";
    note += ", over the network of those " + those +
            (threads ? ", which is the shared memory of threads" : "") +
            (settings.probe ? ". For another network --save FILE, then --calibration FILE "
                              "--bandwidth ... --latency ..."
                            : ". For another network pass --bandwidth and --latency");
  }
  return {note + "; for a measurement of " + std::to_string(settings.ranks) +
          ", --probe with as many ranks"};
}

std::vector<std::string> notes_on_stages(const StageCosts& stages) {
  std::string zero;
  const auto look = [&](const char* what, double seconds) {
    if (seconds <= 0) zero += (zero.empty() ? "" : ", ") + std::string(what);
  };
  look("going over the gradient", stages.pass.slope());
  look("writing the result", stages.result.slope());
  look("an entry sent", stages.selected.at(0));
  look("an entry received", stages.merged.at(0));
  if (zero.empty()) return {};
  return {"measured as costing nothing: " + zero +
          "; other work took the processors meanwhile. What is predicted is of no use: probe again "
          "when the machine is idle"};
}

void print(const std::vector<std::string>& notes) {
  for (const std::string& note : notes) {
    std::fprintf(stderr, "sparccl_plan: note: %s\n", note.c_str());
  }
}

}  // namespace sparccl::bench
