// What the table says of paths.
#include <gtest/gtest.h>

#include <cstdio>
#include <sstream>
#include <string>
#include <vector>

#include "report.hpp"

namespace sparccl::perf {
namespace {

Measured measured(Path path, const char* reason, bool in_place) {
  Row row;
  row.what.in_place = in_place;
  row.what.asked = Path::automatic;
  row.path = path;
  row.path_reason = reason;
  row.time.median = row.dense_time.median = 1e-3;
  Measured result;
  result.row = row;
  return result;
}

std::vector<std::string> printed(const std::vector<Measured>& rows) {
  std::FILE* const file = std::tmpfile();
  print_measured(file, rows);
  std::string text(static_cast<std::size_t>(std::ftell(file)), ' ');
  std::rewind(file);
  EXPECT_EQ(std::fread(text.data(), 1, text.size(), file), text.size());
  std::fclose(file);
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

bool has(const std::string& line, const char* text) { return line.find(text) != std::string::npos; }

TEST(Table, PlacementsThatTookOnePathShareALine) {
  const auto lines = printed(
      {measured(Path::split, "split: 1 ms", false), measured(Path::split, "split: 1 ms", true)});
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_TRUE(has(lines[0], " auto:split "));
  EXPECT_EQ(lines[1], "#   reason: split: 1 ms");
}

TEST(Table, PlacementsThatTookOtherPathsHaveALineEach) {
  const auto lines = printed({measured(Path::dense, "dense: 1 ms", false),
                              measured(Path::allgather, "allgather: 2 ms", true)});
  ASSERT_EQ(lines.size(), 4u);
  EXPECT_TRUE(has(lines[0], " auto:dense "));
  EXPECT_EQ(lines[1], "#   reason: dense: 1 ms");
  EXPECT_TRUE(has(lines[2], " auto:allgather "));
  EXPECT_EQ(lines[3], "#   reason: allgather: 2 ms");
}

TEST(Table, ReasonsThatDifferAreBothSaid) {
  const auto lines = printed(
      {measured(Path::split, "split: 1 ms", false), measured(Path::split, "split: 2 ms", true)});
  ASSERT_EQ(lines.size(), 3u);
  EXPECT_EQ(lines[1], "#   reason, out-of-place: split: 1 ms");
  EXPECT_EQ(lines[2], "#   reason, in-place: split: 2 ms");
}

TEST(Table, AveragesDenseCallsAlone) {
  Figures figures;
  figures.rows.push_back(*measured(Path::split, "", false).row);
  Row& row = figures.rows[0];
  row.what.bytes = 1'000'000;
  row.ranks = 2;
  row.time.median = 1;
  EXPECT_DOUBLE_EQ(row.dense_busbw(), 1);  // 2 * 1/2 * 1 MB in 1 ms
  std::FILE* const file = std::tmpfile();
  print_foot(file, {}, figures);
  std::rewind(file);
  std::string text(1000, ' ');
  text.resize(std::fread(text.data(), 1, text.size(), file));
  std::fclose(file);
  EXPECT_TRUE(has(text, "of the dense column alone: 1 GB/s")) << text;
}

}  // namespace
}  // namespace sparccl::perf
