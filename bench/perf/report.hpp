// The figures as a table on stdout, and as JSON.
#pragma once

#include <cstdio>
#include <string>
#include <vector>

#include "figures.hpp"
#include "row.hpp"
#include "settings.hpp"

namespace sparccl::perf {

/// Who measured, and where.
struct Setting {
  int ranks = 1;
  int nodes = 1;
  int ranks_here = 1;
  std::string device;
};

struct Figures {
  std::vector<Row> rows;
  std::vector<BaselineRow> baselines;
  std::vector<std::string> not_measured;  // each a sentence
  [[nodiscard]] std::uint64_t wrong() const;
};

/// Of the library: "0.1.0".
[[nodiscard]] std::string version_text();

/// Where the table goes: stdout, unless JSON goes there.
[[nodiscard]] std::FILE* table_of(const Settings& settings);

/// The lines above the table, with '#', and its head.
void print_head(std::FILE* out, const Settings& settings, const Setting& setting);
/// One case after the other; both placements of one that took the same path, in one line.
void print_measured(std::FILE* out, const std::vector<Measured>& measured);
void print_note(std::FILE* out, const std::string& text);
/// What all came to.
void print_foot(std::FILE* out, const Settings& settings, const Figures& figures);

/// Why the file of --json could not be written, and what to do; empty if it can. Leaves none.
[[nodiscard]] std::string unwritable(const Settings& settings);

/// Throws std::runtime_error where the file cannot be written; then there is none.
void write_json(const Settings& settings, const Setting& setting, const Figures& figures);

}  // namespace sparccl::perf
