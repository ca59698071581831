// Where the costs come from: off, files and their errors, and ranks that want different things.
#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>

#include "calibration.hpp"
#include "costs.hpp"
#include "ranks.hpp"
#include "transport/local.hpp"
#include "world.hpp"

namespace sparccl::test {
namespace {

class Calibration : public ::testing::Test {
 protected:
  Calibration() {
    const auto* test = ::testing::UnitTest::GetInstance()->current_test_info();
    folder_ = std::filesystem::temp_directory_path() /
              ("sparccl_calibration_" + std::to_string(getpid()) + test->name());
    std::filesystem::create_directories(folder_);
    ::unsetenv("SPARCCL_CALIBRATION");
  }
  ~Calibration() override {
    std::filesystem::remove_all(folder_);
    ::unsetenv("SPARCCL_CALIBRATION");
  }

  [[nodiscard]] std::filesystem::path write(const std::string& name, const std::string& text) {
    std::ofstream(folder_ / name) << text;
    return folder_ / name;
  }

  /// Of the machine that this runs on.
  [[nodiscard]] static Costs here(int ranks) {
    Costs costs = imagined_costs();
    const std::vector<Communicator> made = Communicator::local(ranks);
    costs.machine = machine_of(*made[0].impl());
    return costs;
  }

  std::filesystem::path folder_;
};

std::vector<Communicator> ranks_with(const std::vector<std::string>& wishes) {
  std::vector<Communicator> ranks;
  std::size_t rank = 0;
  for (auto& transport : make_local_transports(static_cast<int>(wishes.size()), {})) {
    ranks.emplace_back(std::move(transport), CommunicatorOptions{.calibration = wishes[rank++]});
  }
  return ranks;
}

TEST_F(Calibration, OffMeasuresNothing) {
  auto ranks = ranks_with({"off", "off"});
  on_each(ranks, [](Communicator& rank) { EXPECT_FALSE(rank.impl()->costs(nullptr)); });
}

TEST_F(Calibration, TheVariableCountsWhereTheOptionIsEmpty) {
  ::setenv("SPARCCL_CALIBRATION", "off", 1);
  auto ranks = ranks_with({"", ""});
  on_each(ranks, [](Communicator& rank) { EXPECT_FALSE(rank.impl()->costs(nullptr)); });
  ::setenv("SPARCCL_CALIBRATION", "/no/such/file", 1);
  auto asked = ranks_with({"off", "off"});
  on_each(asked, [](Communicator& rank) { EXPECT_FALSE(rank.impl()->costs(nullptr)); });
}

TEST_F(Calibration, AFileGivesWhatWasSaved) {
  const Costs saved = here(2);
  save_costs(saved, folder_ / "here.json");
  auto ranks = ranks_with({folder_ / "here.json", folder_ / "here.json"});
  on_each(ranks, [&](Communicator& rank) {
    EXPECT_EQ(text_of(*rank.impl()->costs(nullptr)), text_of(saved));
  });
}

TEST_F(Calibration, AProbeIsTheSameAfterSavingAndLoading) {
  auto ranks = ranks_with({"probe"});
  const Costs costs = *ranks[0].impl()->costs(nullptr);
  save_costs(costs, folder_ / "probe.json");
  EXPECT_EQ(text_of(load_costs(folder_ / "probe.json")), text_of(costs));
}

TEST_F(Calibration, AFileOfOtherHardwareIsRefusedByEveryRank) {
  const auto refuse = [&](const char* what, const std::string& wanted, auto&& change) {
    Costs other = here(2);
    change(other.machine);
    const std::filesystem::path path = folder_ / "other.json";
    save_costs(other, path);
    auto ranks = ranks_with({path, path});
    on_each(ranks, [&](Communicator& rank) {
      expect_error([&] { static_cast<void>(rank.impl()->costs(nullptr)); }, Result::bad_state,
                   {path, "expected", what, wanted, "found", "sparccl_plan --probe --save"});
      // Nothing has happened: the communicator goes on.
      float sum = 0;
      const float one = 1;
      rank.all_reduce(&one, &sum, 1, DataType::float32, Reduction::sum);
      EXPECT_EQ(sum, 2);
    });
  };
  refuse("CPU", "\"Z80\"", [](Machine& m) { m.cpu = "Z80"; });
  refuse("cores", "12345", [](Machine& m) { m.cores = 12345; });
  refuse("GPU", "\"Voodoo 2\"", [](Machine& m) { m.gpu = "Voodoo 2"; });
  refuse("backend", "\"cuda\"", [](Machine& m) { m.backend = "cuda"; });
  refuse("transport", "\"mpi\"", [](Machine& m) { m.transport = "mpi"; });
  refuse("world size", "16", [](Machine& m) { m.world_size = 16; });
  refuse("ranks per node", "1", [](Machine& m) { m.ranks_per_node = 1; });
}

TEST_F(Calibration, AFileThatIsNoneSaysWhatIsWrong) {
  const std::string good = text_of(here(1));
  const auto refuse = [&](std::string text, const std::string& word) {
    const auto path = write("bad.json", text);
    expect_error([&] { static_cast<void>(load_costs(path)); }, Result::bad_state,
                 {path, word, "sparccl_plan"});
  };
  const auto with = [&](const std::string& from, const std::string& to) {
    std::string text = good;
    const std::size_t at = text.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    return text.replace(at, from.size(), to);
  };
  refuse("", "JSON");
  refuse(good.substr(0, good.size() / 2), "JSON");
  refuse("[]", "sparccl_calibration");
  refuse(with("\"sparccl_calibration\": 2", "\"sparccl_calibration\": 1"), "version 2");
  refuse(with("\"result\": ", "\"result\": [[1, 1e300]], \"r\": "), "result");
  refuse(with("\"stages\"", "\"stage\""), "stages");
  refuse(with("\"split\": 5e-09", "\"split\": -1"), "split");
  refuse(with("\"split\": 5e-09", "\"split\": \"a\""), "split");
  refuse(with("\"selected\": ", "\"selected\": 1, \"s\": "), "selected");
  refuse(with("\"cores\": ", "\"cores\": 0.5, \"c\": "), "whole number");
  refuse(with("4096.0", "1e99"), "ascending");
  expect_error([&] { static_cast<void>(load_costs(folder_ / "none.json")); }, Result::bad_state,
               {"none.json", "cannot be read", "sparccl_plan"});
  expect_error([&] { save_costs(here(1), folder_ / "none" / "a.json"); }, Result::system_error,
               {"a.json", "cannot be written"});
}

TEST_F(Calibration, RanksThatWantDifferentThingsAllHearIt) {
  auto ranks = ranks_with({"probe", "probe", "off"});
  on_each(ranks, [](Communicator& rank) {
    expect_error([&] { static_cast<void>(rank.impl()->costs(nullptr)); }, Result::mismatch,
                 {"rank 0", "\"probe\"", "rank 2", "\"off\"", "SPARCCL_CALIBRATION"});
  });
}

TEST_F(Calibration, RanksWithDifferentFilesAllHearIt) {
  Costs other = here(2);
  save_costs(other, folder_ / "a.json");
  other.stages.split *= 2;
  save_costs(other, folder_ / "b.json");
  auto ranks = ranks_with({folder_ / "a.json", folder_ / "b.json"});
  on_each(ranks, [](Communicator& rank) {
    expect_error([&] { static_cast<void>(rank.impl()->costs(nullptr)); }, Result::mismatch,
                 {"the file", "rank 1"});
  });
}

TEST_F(Calibration, AFileThatOneRankLacksIsToldToAll) {
  save_costs(here(2), folder_ / "a.json");
  auto ranks = ranks_with({folder_ / "a.json", folder_ / "gone.json"});
  on_each(ranks, [](Communicator& rank) {
    const char* const word = rank.rank() == 1 ? "gone.json" : "rank 1";
    expect_error([&] { static_cast<void>(rank.impl()->costs(nullptr)); }, Result::bad_state,
                 {word});
  });
}

TEST(Nodes, OfEquallyManyRanksOrNone) {
  EXPECT_EQ(equal_ranks_per_node({0, 0, 1, 1}), 2);
  EXPECT_EQ(equal_ranks_per_node({0, 1, 0, 1}), 2);
  EXPECT_EQ(equal_ranks_per_node({0, 0, 1}), 0);
  EXPECT_EQ(equal_ranks_per_node({0}), 1);
}

TEST(Nodes, AreThoseOfTheOptions) {
  const auto ranks = Communicator::local(4, {.ranks_per_node = 2});
  EXPECT_EQ(machine_of(*ranks[0].impl()).ranks_per_node, 2);
  const auto alone = Communicator::local(4);
  EXPECT_EQ(machine_of(*alone[0].impl()).ranks_per_node, 4);
}

}  // namespace
}  // namespace sparccl::test
