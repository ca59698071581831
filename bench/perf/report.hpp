// The figures as a table on stdout, and as JSON.
#pragma once

#include <string>
#include <vector>

#include "figures.hpp"
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

/// The lines above the table, with '#', and its head.
void print_head(const Settings& settings, const Setting& setting);
/// One line: out-of-place and in-place figures of the same case, either of which may be missing,
/// and the first one's of what they have in common.
void print_rows(const Row* out_of_place, const Row* in_place);
void print_baselines(const std::vector<BaselineRow>& rows);
void print_note(const std::string& text);
/// What all came to.
void print_foot(const Settings& settings, const Figures& figures);

/// Throws std::runtime_error where the file cannot be written; then there is none.
void write_json(const Settings& settings, const Setting& setting, const Figures& figures);

}  // namespace sparccl::perf
