#include "shim/settings.hpp"

#include <gtest/gtest.h>

#include "environment.hpp"

namespace sparccl::shim {
namespace {

using test::environment_of;
using test::Variables;

Settings read(const Variables& variables) { return read_settings(environment_of(variables)); }

std::string refusal(const Variables& variables) {
  try {
    static_cast<void>(read(variables));
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Result::invalid_argument);
    return error.what();
  }
  return "";
}

TEST(Settings, HaveDefaults) {
  const Settings settings = read({});
  EXPECT_EQ(settings.density, 0.001);
  EXPECT_EQ(settings.mu, 2.0);
  EXPECT_FALSE(settings.wire.has_value());
  EXPECT_EQ(settings.min_count, 1024u);
  EXPECT_EQ(settings.warmup_steps, 0u);
  EXPECT_EQ(settings.match.calls_per_step, 0u);
  EXPECT_FALSE(settings.disable);
  EXPECT_EQ(settings.debug, LogLevel::warn);
  EXPECT_TRUE(settings.state_dir.empty());
  EXPECT_EQ(settings.timeout_ms, 600'000u);
}

TEST(Settings, AreRead) {
  const Settings settings = read({{"SPARCCL_DENSITY", "0.25"},
                                  {"SPARCCL_MU", "0"},
                                  {"SPARCCL_WIRE", "bfloat16"},
                                  {"SPARCCL_PATH", "split"},
                                  {"SPARCCL_RANKS_PER_NODE", "8"},
                                  {"SPARCCL_MIN_COUNT", "7"},
                                  {"SPARCCL_WARMUP_STEPS", "3"},
                                  {"SPARCCL_SCHEDULE", "dgc:10"},
                                  {"SPARCCL_MATCH", "calls:1-2/4"},
                                  {"SPARCCL_DISABLE", "1"},
                                  {"SPARCCL_DEBUG", "TRACE"},
                                  {"SPARCCL_DEBUG_FILE", "log"},
                                  {"SPARCCL_STATE_DIR", "state"},
                                  {"SPARCCL_TIMEOUT_MS", "5"},
                                  {"SPARCCL_TIMELINE", "time.json"}});
  EXPECT_EQ(settings.density, 0.25);
  EXPECT_EQ(settings.mu, 0.0);
  EXPECT_EQ(settings.wire, DataType::bfloat16);
  EXPECT_EQ(settings.path, Path::split);
  EXPECT_EQ(settings.communicator().ranks_per_node, 8);
  EXPECT_EQ(settings.min_count, 7u);
  EXPECT_EQ(settings.warmup_steps, 3u);
  EXPECT_EQ(settings.steps_per_stage, 10u);
  EXPECT_EQ(settings.match.calls_per_step, 4u);
  EXPECT_TRUE(settings.disable);
  EXPECT_EQ(settings.debug, LogLevel::trace);
  EXPECT_EQ(settings.debug_file, "log");
  EXPECT_EQ(settings.state_dir, "state");
  EXPECT_EQ(settings.timeout_ms, 5u);
  EXPECT_EQ(settings.timeline, "time.json");
}

TEST(Settings, ThatAreEmptyAreNotSet) { EXPECT_EQ(read({{"SPARCCL_DENSITY", ""}}).density, 0.001); }

TEST(Settings, OfAnotherFormAreRefusedByName) {
  const std::vector<std::pair<std::string, std::vector<std::string>>> bad = {
      {"SPARCCL_DENSITY", {"0", "1.5", "-1", "nan", "inf", "0.1x", "x", "1e999"}},
      {"SPARCCL_MU", {"-1", "nan", "inf", "two"}},
      {"SPARCCL_WIRE", {"float64", "int8", "Float16"}},
      {"SPARCCL_PATH", {"fast", "Auto", "automatic"}},
      {"SPARCCL_RANKS_PER_NODE", {"-1", "many", "99999999999"}},
      {"SPARCCL_MIN_COUNT", {"-1", "1.5", "many", "99999999999999999999"}},
      {"SPARCCL_WARMUP_STEPS", {"-1", "x"}},
      {"SPARCCL_SCHEDULE", {"dgc", "dgc:0", "dgc:x", "linear"}},
      {"SPARCCL_MATCH", {"calls", std::string(600, 'x')}},
      {"SPARCCL_DISABLE", {"yes", "2"}},
      {"SPARCCL_DEBUG", {"info", "DEBUG"}},
      {"SPARCCL_TIMEOUT_MS", {"-1", "5s"}}};
  for (const auto& [name, values] : bad) {
    for (const std::string& value : values) {
      const std::string words = refusal({{name, value}});
      EXPECT_NE(words.find(name + ": expected "), std::string::npos) << name << "=" << value;
      EXPECT_NE(words.find("found \"" + value + "\""), std::string::npos) << words;
    }
  }
}

TEST(Settings, ThatRanksShareDoNotNameWhereFilesAre) {
  const auto shared = [](const Variables& variables) {
    return shared_settings(environment_of(variables));
  };
  EXPECT_EQ(shared({}), shared({{"SPARCCL_DENSITY", "0.001"}, {"SPARCCL_DEBUG", "INFO"}}));
  EXPECT_NE(shared({}), shared({{"SPARCCL_DENSITY", "0.01"}}));
  EXPECT_NE(shared({}), shared({{"SPARCCL_DISABLE", "1"}}));
  EXPECT_NE(shared({}), shared({{"SPARCCL_STATE_DIR", "a"}}));
  EXPECT_EQ(shared({{"SPARCCL_STATE_DIR", "b"}}), shared({{"SPARCCL_STATE_DIR", "a"}}));
}

TEST(Settings, DensityFollowsTheSchedule) {
  const Settings settings = read({{"SPARCCL_SCHEDULE", "dgc:2"}});
  EXPECT_EQ(settings.density_of(0), 0.25);
  EXPECT_EQ(settings.density_of(1), 0.25);
  EXPECT_EQ(settings.density_of(2), 0.0625);
  EXPECT_EQ(settings.density_of(8), 0.001);
  EXPECT_EQ(read({}).density_of(0), 0.001);
}

TEST(Settings, KnowTheirNames) {
  EXPECT_TRUE(is_known_variable("SPARCCL_DENSITY"));
  EXPECT_TRUE(is_known_variable("SPARCCL_SIMD"));
  EXPECT_FALSE(is_known_variable("SPARCCL_DENSTIY"));
}

}  // namespace
}  // namespace sparccl::shim
