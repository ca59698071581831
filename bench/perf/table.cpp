#include <cinttypes>
#include <cstdio>

#include "build.hpp"
#include "machine.hpp"
#include "report.hpp"

namespace sparccl::perf {
namespace {

/// A time in microseconds: five digits that mean something.
std::string microseconds(double seconds) {
  const double us = 1e6 * seconds;
  char text[32];
  std::snprintf(text, sizeof text, us < 99.995 ? "%.2f" : us < 9999.95 ? "%.1f" : "%.0f", us);
  return text;
}

std::string number(const char* format, double value) {
  char text[32];
  std::snprintf(text, sizeof text, format, value);
  return text;
}

std::string bandwidth(double gigabytes) {
  return number(gigabytes < 99.995 ? "%.2f" : "%.1f", gigabytes);
}

std::string wrong_of(const std::optional<std::uint64_t>& wrong) {
  return wrong ? std::to_string(*wrong) : "N/A";
}

void print_case(const Case& what) {
  std::printf("%12zu %12zu %9s %6s", what.bytes, what.count, type_name(what.type),
              name_of(what.reduction));
}

void print_times(const Row* row) {
  if (row == nullptr) {
    std::printf(" %9s %7s %7s %7s", "-", "-", "-", "-");
    return;
  }
  std::printf(" %9s %7s %7s %7s", microseconds(row->time.median).c_str(),
              bandwidth(row->algbw()).c_str(), bandwidth(row->busbw()).c_str(),
              wrong_of(row->wrong).c_str());
}

void print_rest(const Row& row) {
  std::printf("  %12s %9.6f %11.0f %7s", name_of(row.path), row.what.density, row.wire_bytes,
              bandwidth(row.effective()).c_str());
  if (row.stages) {
    const StageSeconds& s = *row.stages;
    for (const double stage : {s.wait, s.accumulate, s.select, s.pack, s.exchange, s.merge}) {
      std::printf(" %8s", microseconds(stage).c_str());
    }
  } else {
    for (int stage = 0; stage < 6; ++stage) std::printf(" %8s", "-");
  }
  const std::optional<double> break_even = row.break_even();
  std::printf(" %9s %7s %9s\n", microseconds(row.dense_time.median).c_str(),
              number("%.2f", row.speedup).c_str(),
              break_even ? number("%.2f", *break_even).c_str() : "-");
}

const char* average_name(Average average) {
  switch (average) {
    case Average::rank0: return "rank 0's";
    case Average::mean: return "the mean over the ranks";
    case Average::min: return "the fastest rank's";
    case Average::max: break;
  }
  return "the slowest rank's";
}

}  // namespace

std::string version_text() {
  const int number = version();
  return std::to_string(number / 10000) + "." + std::to_string(number / 100 % 100) + "." +
         std::to_string(number % 100);
}

std::uint64_t Figures::wrong() const {
  std::uint64_t sum = 0;
  for (const Row& row : rows) sum += row.wrong.value_or(0);
  for (const BaselineRow& row : baselines) sum += row.wrong.value_or(0);
  return sum;
}

void print_head(const Settings& s, const Setting& setting) {
  std::printf("# %s\n", s.command.c_str());
  std::printf("# sparccl %s, commit %s\n", version_text().c_str(),
              build::commit ? build::commit : "unknown");
  std::printf("# %d %s on %d %s, transport %s, backend %s (%s)\n", setting.ranks,
              setting.ranks == 1 ? "rank" : "ranks", setting.nodes,
              setting.nodes == 1 ? "node" : "nodes", s.transport.c_str(), s.backend.c_str(),
              setting.device.c_str());
  std::printf("# %s, %d cores\n", cpu_model().c_str(), cores());
  std::printf(
      "# medians of %d blocks of %d calls after %d; dense blocks in between; a time is %s\n",
      s.repeats, s.iterations, s.warmup, average_name(s.average));
  std::printf("# mu %g, wire %s; %d checked calls\n", s.mu,
              s.wire ? type_name(*s.wire) : "as the tensor", s.checks);
  if (s.backend == "host" && setting.ranks_here > cores()) {
    std::printf("# NOTE: %d ranks share %d cores here: times hold for this machine alone\n",
                setting.ranks_here, cores());
  }
  std::printf("#\n#%11s %12s %9s %6s %33s %33s  %42s %53s\n", "", "", "", "", "out-of-place       ",
              "in-place         ", "", "time of the stages (us)                  ");
  std::printf("#%11s %12s %9s %6s", "size", "count", "type", "redop");
  for (int place = 0; place < 2; ++place) {
    std::printf(" %9s %7s %7s %7s", "time", "algbw", "busbw", "#wrong");
  }
  std::printf("  %12s %9s %11s %7s", "path", "density", "wire bytes", "effbw");
  for (const char* stage : {"wait", "accum.", "select", "pack", "exchange", "merge"}) {
    std::printf(" %8s", stage);
  }
  std::printf(" %9s %7s %9s\n", "dense", "speedup", "br.-even");
  std::printf("#%11s %12s %9s %6s", "(B)", "(entries)", "", "");
  for (int place = 0; place < 2; ++place) {
    std::printf(" %9s %7s %7s %7s", "(us)", "(GB/s)", "(GB/s)", "");
  }
  std::printf("  %12s %9s %11s %7s %53s %9s %7s %9s\n", "", "", "(B a rank)", "(GB/s)", "", "(us)",
              "", "(Gbit/s)");
}

void print_rows(const Row* out_of_place, const Row* in_place) {
  const Row& one = out_of_place != nullptr ? *out_of_place : *in_place;
  print_case(one.what);
  print_times(out_of_place);
  print_times(in_place);
  print_rest(one);
  std::fflush(stdout);
}

void print_baselines(const std::vector<BaselineRow>& rows) {
  for (const BaselineRow& row : rows) {
    std::printf(
        "#   %-6s %s: %s us, algbw %s GB/s, busbw %s GB/s, #wrong %s; the sparse path is "
        "%.3g times as fast\n",
        row.name.c_str(), row.what.in_place ? "in-place" : "out-of-place",
        microseconds(row.time.median).c_str(), bandwidth(row.algbw()).c_str(),
        bandwidth(row.busbw()).c_str(), wrong_of(row.wrong).c_str(), row.sparse_speedup);
  }
  std::fflush(stdout);
}

void print_note(const std::string& text) {
  std::printf("# %s\n", text.c_str());
  std::fflush(stdout);
}

void print_foot(const Settings& s, const Figures& figures) {
  double busbw = 0;
  for (const Row& row : figures.rows) busbw += row.busbw();
  const std::uint64_t wrong = figures.wrong();
  std::printf("#\n");
  if (s.checks == 0) {
    std::printf("# Wrong entries: not checked (-c 0)\n");
  } else {
    std::printf("# Wrong entries: %" PRIu64 " %s\n", wrong, wrong == 0 ? "OK" : "FAILED");
  }
  if (!figures.rows.empty()) {
    std::printf("# Average bus bandwidth: %.4g GB/s\n",
                busbw / static_cast<double>(figures.rows.size()));
  }
  for (const std::string& why : figures.not_measured)
    std::printf("# Not measured: %s\n", why.c_str());
}

}  // namespace sparccl::perf
