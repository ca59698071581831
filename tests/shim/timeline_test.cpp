#include "shim/timeline.hpp"

#include <gtest/gtest.h>

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
    StageSeconds seconds;
    seconds.wait = 0.001;
    seconds.exchange = 0.002;
    const std::vector<StageSpan> spans = spans_of(100, seconds);
    timeline.add(
        {.rank = 1, .communicator = 2, .tensor = "a \"name\"", .wire_bytes = 7, .entries = 3},
        spans);
    timeline.add({.rank = 1, .communicator = 2, .tensor = "b", .wire_bytes = 0, .entries = 0},
                 spans);
  }
  const json events = json::parse(std::ifstream(path));
  ASSERT_EQ(events.size(), 1u + 2u * 7u);  // the rank's name; a call and six stages, twice
  EXPECT_EQ(events[0]["args"]["name"], "rank 1");
  EXPECT_EQ(events[1]["name"], "a \"name\"");
  EXPECT_EQ(events[1]["args"]["wire_bytes"], 7);
  EXPECT_EQ(events[1]["ts"], 100.0);
  EXPECT_DOUBLE_EQ(events[1]["dur"].get<double>(), 3000);
  EXPECT_EQ(events[2]["name"], "wait");
  EXPECT_DOUBLE_EQ(events[2]["dur"].get<double>(), 1000);
  EXPECT_EQ(events[6]["name"], "exchange");
  EXPECT_DOUBLE_EQ(events[6]["ts"].get<double>(), 1100);
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
