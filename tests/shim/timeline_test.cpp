#include "shim/timeline.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

namespace sparccl::shim {
namespace {

using nlohmann::json;

TEST(Timeline, IsJsonWithAnEventAStage) {
  const auto path = std::filesystem::path(::testing::TempDir()) / "sparccl_timeline.json";
  {
    Timeline timeline(path.string());
    const auto now = std::chrono::steady_clock::now();
    const auto after = [&](int ms) { return now + std::chrono::milliseconds(ms); };
    StageTimes times;
    for (; times.size < stage_count; ++times.size) {
      times.spans[times.size] = {static_cast<Stage>(times.size), after(1), after(1)};
    }
    times.spans.front() = {Stage::wait, now, after(1)};
    times.spans[static_cast<std::size_t>(Stage::exchange)] = {Stage::exchange, after(1), after(3)};
    times.spans[stage_count - 1] = {Stage::merge, after(3), after(3)};
    timeline.add({1, 2, "a \"name\"", 7, 3}, times);
    timeline.add({1, 2, "b", 0, 0}, times);
  }
  const json events = json::parse(std::ifstream(path));
  ASSERT_EQ(events.size(), 1u + 2u * 7u);  // the rank's name; a call and six stages, twice
  EXPECT_EQ(events[0]["args"]["name"], "rank 1");
  EXPECT_EQ(events[1]["name"], "a \"name\"");
  EXPECT_EQ(events[1]["args"]["wire_bytes"], 7);
  const auto begin = events[1]["ts"].get<double>();
  EXPECT_GE(begin, 0);
  EXPECT_NEAR(events[1]["dur"].get<double>(), 3000, 0.01);
  EXPECT_EQ(events[2]["name"], "wait");
  EXPECT_NEAR(events[2]["dur"].get<double>(), 1000, 0.01);
  EXPECT_EQ(events[6]["name"], "exchange");
  EXPECT_NEAR(events[6]["ts"].get<double>(), begin + 1000, 0.01);
  for (std::size_t i = 1; i < events.size(); ++i) {
    EXPECT_EQ(events[i]["ph"], "X");
    EXPECT_EQ(events[i]["pid"], 1);
    EXPECT_EQ(events[i]["tid"], 2);
  }
}

TEST(Timeline, SaysWhyItCannotBeWritten) {
  try {
    Timeline timeline("/no/such/directory/t.json");
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("SPARCCL_TIMELINE"), std::string::npos);
    EXPECT_NE(std::string(error.what()).find("/no/such/directory/t.json"), std::string::npos);
  }
}

TEST(Timeline, IsOfRankZeroUnlessItIsNamedAfterTheRank) {
  EXPECT_EQ(timeline_path("t.json", 0), "t.json");
  EXPECT_EQ(timeline_path("t.json", 3), "");
  EXPECT_EQ(timeline_path("t%r.json", 3), "t3.json");
}

}  // namespace
}  // namespace sparccl::shim
