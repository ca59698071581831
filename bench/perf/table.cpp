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

/// "split"; "auto:split" where nobody asked for it.
std::string path_label(const Row& row) {
  const char* const taken = name_of(row.path);
  return row.what.asked == Path::automatic ? std::string("auto:") + taken : taken;
}

void print_case(std::FILE* out, const Case& what) {
  std::fprintf(out, "%12zu %12zu %9s %6s", what.bytes, what.count, type_name(what.type),
               name_of(what.reduction));
}

void print_times(std::FILE* out, const Row* row) {
  if (row == nullptr) {
    std::fprintf(out, " %9s %7s %7s %7s", "-", "-", "-", "-");
    return;
  }
  std::fprintf(out, " %9s %7s %7s %7s", microseconds(row->time.median).c_str(),
               bandwidth(row->algbw()).c_str(), bandwidth(row->busbw()).c_str(),
               wrong_of(row->wrong).c_str());
}

void print_rest(std::FILE* out, const Row& row) {
  std::fprintf(out, "  %-17s %9.6f %11.0f %7s", path_label(row).c_str(), row.what.density,
               row.wire_bytes, bandwidth(row.effective()).c_str());
  if (row.stages) {
    const StageSeconds& s = *row.stages;
    for (const double stage : {s.wait, s.accumulate, s.select, s.pack, s.exchange, s.merge}) {
      std::fprintf(out, " %8s", microseconds(stage).c_str());
    }
  } else {
    for (int stage = 0; stage < 6; ++stage) std::fprintf(out, " %8s", "-");
  }
  const std::optional<double> break_even = row.break_even();
  std::fprintf(out, " %9s %7s %10s\n", microseconds(row.dense_time.median).c_str(),
               number("%.2f", row.speedup).c_str(),
               break_even ? number("%.2f", *break_even).c_str() : "-");
}

/// Why auto took the path. Trials of out-of-place and in-place calls may have found other times.
void print_reason(std::FILE* out, const Row* row, const char* place) {
  if (row == nullptr || row->what.asked != Path::automatic) return;
  std::fprintf(out, "#   reason%s: %s\n", place, row->path_reason.c_str());
}

void print_reasons(std::FILE* out, const Row* out_of_place, const Row* in_place) {
  const bool both = out_of_place != nullptr && in_place != nullptr;
  if (both && out_of_place->path_reason == in_place->path_reason) {
    print_reason(out, out_of_place, "");
    return;
  }
  print_reason(out, out_of_place, both ? ", out-of-place" : "");
  print_reason(out, in_place, both ? ", in-place" : "");
}

/// Out-of-place and in-place of the same stand in one line, unless auto chose other paths for them.
bool same_line(const Row& one, const Row& other) {
  return one.what.reduction == other.what.reduction && one.what.density == other.what.density &&
         one.what.asked == other.what.asked && one.path == other.path && !one.what.in_place &&
         other.what.in_place;
}

/// One line: out-of-place and in-place figures, either of which may be missing, and the first one's
/// of what they have in common; below it, why auto chose the path.
void print_rows(std::FILE* out, const Row* out_of_place, const Row* in_place) {
  const Row& one = out_of_place != nullptr ? *out_of_place : *in_place;
  print_case(out, one.what);
  print_times(out, out_of_place);
  print_times(out, in_place);
  print_rest(out, one);
  print_reasons(out, out_of_place, in_place);
  std::fflush(out);
}

void print_baselines(std::FILE* out, const std::vector<BaselineRow>& rows) {
  for (const BaselineRow& row : rows) {
    std::fprintf(out,
                 "#   %-6s %s: %s us, algbw %s GB/s, busbw %s GB/s, #wrong %s; the calls above "
                 "are %.3g times as fast\n",
                 row.name.c_str(), row.what.in_place ? "in-place" : "out-of-place",
                 microseconds(row.time.median).c_str(), bandwidth(row.algbw()).c_str(),
                 bandwidth(row.busbw()).c_str(), wrong_of(row.wrong).c_str(), row.sparse_speedup);
  }
  std::fflush(out);
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

std::FILE* table_of(const Settings& settings) { return settings.json == "-" ? stderr : stdout; }

void print_head(std::FILE* out, const Settings& s, const Setting& setting) {
  std::fprintf(out, "# %s\n", s.command.c_str());
  std::fprintf(out, "# sparccl %s, commit %s\n", version_text().c_str(),
               build::commit ? build::commit : "unknown");
  std::fprintf(out, "# %d %s on %d %s, transport %s, backend %s (%s)\n", setting.ranks,
               setting.ranks == 1 ? "rank" : "ranks", setting.nodes,
               setting.nodes == 1 ? "node" : "nodes", s.transport.c_str(), s.backend.c_str(),
               setting.device.c_str());
  std::fprintf(out, "# %s, %d cores\n", cpu_model().c_str(), cores());
  std::fprintf(
      out, "# medians of %d blocks of %d calls after %d; dense blocks in between; a time is %s\n",
      s.repeats, s.iterations, s.warmup, average_name(s.average));
  std::fprintf(out, "# mu %g, wire %s; %d checked calls\n", s.mu,
               s.wire ? type_name(*s.wire) : "as the tensor", s.checks);
  if (s.backend == "host" && setting.ranks_here > cores()) {
    std::fprintf(out, "# NOTE: %d ranks share %d cores here: times hold for this machine alone\n",
                 setting.ranks_here, cores());
  }
  std::fprintf(
      out,
      "# path: as asked for; auto:X is X, which auto chose. From path on, columns are of the "
      "out-of-place calls where a row has both\n");
  std::fprintf(
      out,
      "# dense: the library's dense allreduce, in turn with each row's calls; a row of path "
      "dense is a tensor with a residual that goes the dense way\n");
  std::fprintf(out, "# break-even: %s\n", break_even_meaning);
  std::fprintf(out, "#\n#%11s %12s %9s %6s %33s %33s  %47s %53s %28s\n", "", "", "", "",
               "out-of-place       ", "in-place         ", "",
               "time of the stages (us)                  ", "against plain dense    ");
  std::fprintf(out, "#%11s %12s %9s %6s", "size", "count", "type", "redop");
  for (int place = 0; place < 2; ++place) {
    std::fprintf(out, " %9s %7s %7s %7s", "time", "algbw", "busbw", "#wrong");
  }
  std::fprintf(out, "  %-17s %9s %11s %7s", "path", "density", "wire bytes", "effbw");
  for (const char* stage : {"wait", "accum.", "select", "pack", "exchange", "merge"}) {
    std::fprintf(out, " %8s", stage);
  }
  std::fprintf(out, " %9s %7s %10s\n", "dense", "speedup", "break-even");
  std::fprintf(out, "#%11s %12s %9s %6s", "(B)", "(entries)", "", "");
  for (int place = 0; place < 2; ++place) {
    std::fprintf(out, " %9s %7s %7s %7s", "(us)", "(GB/s)", "(GB/s)", "");
  }
  std::fprintf(out, "  %-17s %9s %11s %7s %53s %9s %7s %10s\n", "", "", "(B a rank)", "(GB/s)", "",
               "(us)", "", "(Gbit/s)");
}

void print_measured(std::FILE* out, const std::vector<Measured>& measured) {
  for (std::size_t i = 0; i < measured.size(); ++i) {
    const std::optional<Row>& row = measured[i].row;
    if (!row) continue;
    const bool joined = i + 1 < measured.size() && measured[i + 1].row.has_value() &&
                        same_line(*row, *measured[i + 1].row);
    const Row* const other = joined ? &*measured[i + 1].row : nullptr;
    print_rows(out, row->what.in_place ? nullptr : &*row, row->what.in_place ? &*row : other);
    print_baselines(out, measured[i].baselines);
    if (joined) print_baselines(out, measured[++i].baselines);
  }
}

void print_note(std::FILE* out, const std::string& text) {
  std::fprintf(out, "# %s\n", text.c_str());
  std::fflush(out);
}

void print_foot(std::FILE* out, const Settings& s, const Figures& figures) {
  double busbw = 0;
  for (const Row& row : figures.rows) busbw += row.dense_busbw();
  const std::uint64_t wrong = figures.wrong();
  std::fprintf(out, "#\n");
  if (s.checks == 0) {
    std::fprintf(out, "# Wrong entries: not checked (-c 0)\n");
  } else {
    std::fprintf(out, "# Wrong entries: %" PRIu64 " %s\n", wrong, wrong == 0 ? "OK" : "FAILED");
  }
  if (!figures.rows.empty()) {
    std::fprintf(out, "# Average bus bandwidth, of the dense column alone: %.4g GB/s\n",
                 busbw / static_cast<double>(figures.rows.size()));
  }
  for (const std::string& why : figures.not_measured)
    std::fprintf(out, "# Not measured: %s\n", why.c_str());
}

}  // namespace sparccl::perf
