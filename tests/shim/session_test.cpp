// Sessions whose ranks are threads, each with an environment of its own.
#include "shim/session.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "environment.hpp"
#include "ranks.hpp"

namespace sparccl::shim {
namespace {

namespace fs = std::filesystem;
using test::Variables;

constexpr std::size_t count = 2000;

/// One rank of a program that reduces some tensors a step.
class Rank {
 public:
  Rank(const Variables& variables, const Communicator& communicator)
      : process_(test::environment_of(variables)),
        rank_(communicator.rank()),
        session_(process_, communicator, "test", "communicator0.rank" + std::to_string(rank_)) {}

  /// Values that differ from rank to rank and step to step, exact in float.
  std::optional<Reason> call(std::size_t tensor, std::size_t entries = count) {
    std::vector<float>& gradient = buffers_[tensor];
    gradient.resize(entries);
    result_.resize(entries);
    const std::uint64_t step = first_value_ + number_;
    for (std::size_t i = 0; i < entries; ++i) gradient[i] = value(rank_, i, step);
    const Request request{gradient.data(),
                          result_.data(),
                          {entries, DataType::float32, Reduction::sum},
                          number_++,
                          nullptr};
    return session_.reduce(request);
  }
  [[nodiscard]] static float value(int rank, std::size_t i, std::uint64_t call) {
    return static_cast<float>((i * 7 + call * 13 + static_cast<std::size_t>(rank) * 5) % 31) - 15;
  }
  void begin_values_at(std::uint64_t call) { first_value_ = call; }
  [[nodiscard]] const std::vector<float>& result() const { return result_; }
  Process& process() { return process_; }
  Session& session() { return session_; }

 private:
  Process process_;
  int rank_;
  std::map<std::size_t, std::vector<float>> buffers_;
  std::vector<float> result_;
  std::uint64_t number_ = 0;
  std::uint64_t first_value_ = 0;
  Session session_;
};

fs::path scratch(const char* name) {
  const fs::path path = fs::path(::testing::TempDir()) / name;
  fs::remove_all(path);
  return path;
}

/// The error that every rank gets.
std::string error_on_all(int ranks, const std::function<void(Communicator&)>& f) {
  std::mutex mutex;
  std::vector<std::string> words;
  test::on_local_ranks(ranks, [&](Communicator& communicator) {
    try {
      f(communicator);
    } catch (const Error& error) {
      const std::lock_guard lock(mutex);
      words.emplace_back(error.what());
    }
  });
  EXPECT_EQ(words.size(), static_cast<std::size_t>(ranks));
  for (const std::string& other : words) EXPECT_EQ(other, words.front());
  return words.empty() ? "" : words.front();
}

TEST(Session, LearnsThenSparsifies) {
  test::on_local_ranks(3, [](Communicator& communicator) {
    Rank rank({{"SPARCCL_DENSITY", "0.01"}}, communicator);
    for (int call = 0; call < 12; ++call) EXPECT_EQ(rank.call(0), Reason::learning);
    EXPECT_EQ(rank.call(0), std::nullopt);
    const auto nonzero = std::ranges::count_if(rank.result(), [](float v) { return v != 0; });
    EXPECT_GE(nonzero, 15);  // some sums cancel
    EXPECT_LE(nonzero, 60);
  });
}

TEST(Session, AtDensityOneIsExact) {
  test::on_local_ranks(3, [](Communicator& communicator) {
    Rank rank({{"SPARCCL_DENSITY", "1"}, {"SPARCCL_MATCH", "calls:0/1"}}, communicator);
    for (std::uint64_t call = 0; call < 5; ++call) {
      ASSERT_EQ(rank.call(0), std::nullopt);
      for (std::size_t i = 0; i < count; ++i) {
        const float sum =
            Rank::value(0, i, call) + Rank::value(1, i, call) + Rank::value(2, i, call);
        ASSERT_EQ(rank.result()[i], sum);
      }
    }
  });
}

TEST(Session, KeepsTensorsOfOneSizeApart) {
  test::on_local_ranks(2, [](Communicator& communicator) {
    Rank rank({}, communicator);
    for (int call = 0; call < 12; ++call) EXPECT_EQ(rank.call(call % 2), Reason::learning);
    for (int call = 0; call < 6; ++call) EXPECT_EQ(rank.call(call % 2), std::nullopt);
    const std::string table = rank.process().tally().table("here");
    EXPECT_NE(table.find("allreduce 0 of 2"), std::string::npos) << table;
    EXPECT_NE(table.find("allreduce 1 of 2"), std::string::npos);
    EXPECT_EQ(rank.process().tally().calls(), 6u);
  });
}

TEST(Session, WarmsUpDensely) {
  test::on_local_ranks(2, [](Communicator& communicator) {
    Rank rank({{"SPARCCL_WARMUP_STEPS", "2"}, {"SPARCCL_MATCH", "calls:0-1/2"}}, communicator);
    for (int call = 0; call < 4; ++call) EXPECT_EQ(rank.call(call % 2), Reason::warm_up);
    EXPECT_EQ(rank.call(0), std::nullopt);
  });
}

TEST(Session, FollowsTheSchedule) {
  test::on_local_ranks(2, [](Communicator& communicator) {
    Rank rank({{"SPARCCL_SCHEDULE", "dgc:2"},
               {"SPARCCL_DENSITY", "0.01"},
               {"SPARCCL_WARMUP_STEPS", "1"},
               {"SPARCCL_MATCH", "calls:0/1"}},
              communicator);
    EXPECT_EQ(rank.call(0), Reason::warm_up);
    const auto k_after_call = [&] {
      static_cast<void>(rank.call(0));
      const std::string table = rank.process().tally().table("");
      const std::size_t at = table.find(", k ") + 4;
      return table.substr(at, table.find(", ", at) - at);
    };
    for (const char* const k : {"500", "500", "125", "125", "31", "31", "20", "20"}) {
      EXPECT_EQ(k_after_call(), k);
    }
  });
}

TEST(Session, ResetsATensorThatChanges) {
  const fs::path log = scratch("sparccl_session_log");
  test::on_local_ranks(2, [&](Communicator& communicator) {
    Variables variables{{"SPARCCL_MATCH", "calls:0/1"}, {"SPARCCL_DENSITY", "1"}};
    if (communicator.rank() == 0) variables["SPARCCL_DEBUG_FILE"] = log.string();
    Rank rank(variables, communicator);
    EXPECT_EQ(rank.call(0), std::nullopt);
    EXPECT_EQ(rank.call(0, 3000), std::nullopt);
    for (std::size_t i = 0; i < 3000; ++i) {
      ASSERT_EQ(rank.result()[i], Rank::value(0, i, 1) + Rank::value(1, i, 1)) << i;
    }
  });
  std::ifstream file(log);
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  EXPECT_NE(text.find("was 2000 float32 sum, is now 3000 float32 sum: reset"), std::string::npos)
      << text;
}

TEST(Session, RefusesRanksWithOtherEnvironments) {
  const std::string words = error_on_all(3, [](Communicator& communicator) {
    Variables variables;
    if (communicator.rank() == 2) variables["SPARCCL_MU"] = "5";
    Rank rank(variables, communicator);
  });
  EXPECT_EQ(
      words,
      "the ranks' environments differ: rank 0 has SPARCCL_MU = \"2\", rank 2 has SPARCCL_MU = "
      "\"5\"");
}

TEST(Session, RefusesADirectoryThatOneRankCannotWrite) {
  const fs::path directory = scratch("sparccl_session_unwritable");
  const std::string words = error_on_all(2, [&](Communicator& communicator) {
    const bool bad = communicator.rank() == 1;
    Rank rank({{"SPARCCL_STATE_DIR", bad ? "/proc/nowhere" : directory.string()}}, communicator);
  });
  EXPECT_NE(words.find("rank 1: SPARCCL_STATE_DIR: expected a directory that can be written, found "
                       "/proc/nowhere"),
            std::string::npos)
      << words;
}

/// The results of the last calls of each rank, in a run that saves and one that goes on.
std::vector<std::vector<float>> run(const fs::path& directory, int calls, int ranks = 2) {
  std::vector<std::vector<float>> results(static_cast<std::size_t>(ranks));
  test::on_local_ranks(ranks, [&](Communicator& communicator) {
    Rank rank({{"SPARCCL_MATCH", "calls:0-1/2"},
               {"SPARCCL_DENSITY", "0.01"},
               {"SPARCCL_STATE_DIR", directory.string()}},
              communicator);
    std::vector<float>& all = results[static_cast<std::size_t>(communicator.rank())];
    for (int call = 0; call < calls; ++call) {
      EXPECT_EQ(rank.call(static_cast<std::size_t>(call % 2)), std::nullopt);
      all.insert(all.end(), rank.result().begin(), rank.result().end());
    }
  });
  return results;
}

TEST(Session, GoesOnFromItsStateWithTheSameBits) {
  // Gradients depend on the number of the call, which begins anew: both runs have 20 calls each.
  const fs::path once = scratch("sparccl_session_once");
  const fs::path twice = scratch("sparccl_session_twice");
  static_cast<void>(run(once, 20));
  fs::copy(once, twice);
  const auto first = run(once, 20);
  const auto second = run(twice, 20);
  EXPECT_EQ(first, second);
  const auto fresh = run(scratch("sparccl_session_fresh"), 20);
  EXPECT_NE(first, fresh);  // the state was loaded, and it matters
}

TEST(Session, GoesOnAsIfItHadNeverStopped) {
  const Variables variables{{"SPARCCL_MATCH", "calls:0-1/2"},
                            {"SPARCCL_DENSITY", "0.01"},
                            {"SPARCCL_WARMUP_STEPS", "3"},
                            {"SPARCCL_SCHEDULE", "dgc:2"}};
  const fs::path directory = scratch("sparccl_session_parts");
  const auto part = [&](std::uint64_t first, std::uint64_t last, bool saved) {
    std::vector<std::vector<float>> results(2);
    test::on_local_ranks(2, [&](Communicator& communicator) {
      Variables own = variables;
      if (saved) own["SPARCCL_STATE_DIR"] = directory.string();
      Rank rank(own, communicator);
      rank.begin_values_at(first);
      for (std::uint64_t call = first; call < last; ++call) {
        const bool dense = rank.call(call % 2).has_value();
        EXPECT_EQ(dense, call < 6);
        if (call >= 20 && !dense) {
          std::vector<float>& all = results[static_cast<std::size_t>(communicator.rank())];
          all.insert(all.end(), rank.result().begin(), rank.result().end());
        }
      }
    });
    return results;
  };
  const auto whole = part(0, 30, false);
  static_cast<void>(part(0, 4, true));  // in the middle of the dense steps
  static_cast<void>(part(4, 20, true));
  EXPECT_EQ(part(20, 30, true), whole);
}

TEST(Session, KeepsStateThatARunDidNotNeed) {
  const fs::path directory = scratch("sparccl_session_unneeded");
  static_cast<void>(run(directory, 8));
  const auto size = fs::file_size(directory / "communicator0.rank0.sparccl");
  static_cast<void>(run(directory, 1));  // the second tensor of a step has no call
  EXPECT_EQ(fs::file_size(directory / "communicator0.rank0.sparccl"), size);
}

TEST(Session, TellsAllRanksOfAStateThatIsDamagedOnOne) {
  const fs::path directory = scratch("sparccl_session_damaged");
  static_cast<void>(run(directory, 8));
  {
    std::fstream file(directory / "communicator0.rank1.sparccl",
                      std::ios::binary | std::ios::in | std::ios::out);
    file.seekp(300);
    file.put('x');
  }
  for (const char* const match : {"calls:0-1/2", "auto"}) {
    const std::string words = error_on_all(2, [&](Communicator& communicator) {
      Rank rank({{"SPARCCL_STATE_DIR", directory.string()}, {"SPARCCL_MATCH", match}},
                communicator);
    });
    EXPECT_NE(words.find("rank 1: state file"), std::string::npos) << words;
    EXPECT_NE(words.find("checksum"), std::string::npos) << words;
  }
}

TEST(Session, RefusesStateOfAnotherWorld) {
  const fs::path directory = scratch("sparccl_session_world");
  static_cast<void>(run(directory, 4, 2));
  const std::string words = error_on_all(3, [&](Communicator& communicator) {
    Rank rank({{"SPARCCL_STATE_DIR", directory.string()}}, communicator);
  });
  EXPECT_NE(words.find("world size: expected 3, found 2"), std::string::npos) << words;
}

TEST(Session, RefusesStateThatOneRankLacks) {
  const fs::path directory = scratch("sparccl_session_lost");
  static_cast<void>(run(directory, 4, 2));
  fs::remove(directory / "communicator0.rank1.sparccl");
  const std::string words = error_on_all(2, [&](Communicator& communicator) {
    Rank rank({{"SPARCCL_STATE_DIR", directory.string()}}, communicator);
  });
  EXPECT_NE(words.find("rank 1 has a state file of = nothing"), std::string::npos) << words;
}

TEST(Session, SavesOnAllRanksWhenOneIsTold) {
  const fs::path directory = scratch("sparccl_session_told");
  test::on_local_ranks(2, [&](Communicator& communicator) {
    Rank rank({{"SPARCCL_MATCH", "calls:0/1"}, {"SPARCCL_STATE_DIR", directory.string()}},
              communicator);
    static_cast<void>(rank.call(0));
    const fs::path own =
        directory / ("communicator0.rank" + std::to_string(communicator.rank()) + ".sparccl");
    EXPECT_FALSE(fs::exists(own));
    if (communicator.rank() == 1) ++rank.process().save_requests;
    for (int call = 0; call < 16; ++call) static_cast<void>(rank.call(0));
    EXPECT_TRUE(fs::exists(own));
    fs::remove(own);
    for (int call = 0; call < 32; ++call) static_cast<void>(rank.call(0));
    EXPECT_FALSE(fs::exists(own));  // once
  });
}

TEST(Session, FailsForGoodWhenARankIsMissing) {
  test::on_local_ranks(2, [](Communicator& communicator) {
    Rank rank({{"SPARCCL_MATCH", "calls:0/1"}}, communicator);
    static_cast<void>(rank.call(0));
    if (communicator.rank() == 1) {
      communicator.abort();
      return;
    }
    EXPECT_THROW(static_cast<void>(rank.call(0)), Error);
    EXPECT_THROW(static_cast<void>(rank.call(0)), Error);
  });
}

}  // namespace
}  // namespace sparccl::shim
