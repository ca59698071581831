#include "shim/state_dir.hpp"

#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <ostream>

namespace sparccl::shim {
namespace {

namespace fs = std::filesystem;

fs::path scratch(const char* name) {
  const fs::path path = fs::path(::testing::TempDir()) / name;
  fs::remove_all(path);
  return path;
}

SavedStep step_of_two() {
  SavedStep step{4, 1, {}};
  step.slots.push_back({{10, DataType::float32, Reduction::sum}, 7, 0, 0});
  step.slots.push_back({{20, DataType::float64, Reduction::avg}, 6, 0, 0});
  return step;
}

void save(const fs::path& path) {
  save_step(path, step_of_two(), [](std::size_t slot, std::ostream& out) {
    if (slot == 1) out << "the second";
  });
}

std::string refusal(const fs::path& path, int rank = 1, int world_size = 4) {
  try {
    static_cast<void>(load_step(path, rank, world_size));
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Result::bad_state);
    return error.what();
  }
  return "";
}

TEST(StateDir, ComesBackAsItWas) {
  const fs::path path = scratch("sparccl_step");
  save(path);
  const auto step = load_step(path, 1, 4);
  ASSERT_TRUE(step.has_value());
  EXPECT_EQ(step->keys(), step_of_two().keys());
  EXPECT_EQ(step->slots[0].uses, 7u);
  EXPECT_EQ(step->slots[0].bytes, 0u);
  EXPECT_EQ(step->slots[1].bytes, 10u);
  std::ifstream file(path);
  file.seekg(static_cast<std::streamoff>(step->slots[1].begin));
  std::string state(10, ' ');
  file.read(state.data(), 10);
  EXPECT_EQ(state, "the second");
}

TEST(StateDir, HasNothingAtFirst) {
  EXPECT_FALSE(load_step(scratch("sparccl_no_step"), 0, 2).has_value());
}

TEST(StateDir, IsOfOneWorld) {
  const fs::path path = scratch("sparccl_step_world");
  save(path);
  EXPECT_NE(refusal(path, 1, 8).find("world size: expected 8, found 4"), std::string::npos);
  EXPECT_NE(refusal(path, 0, 4).find("rank: expected 0, found 1"), std::string::npos);
}

TEST(StateDir, RefusesWhatIsCutOrChanged) {
  const fs::path path = scratch("sparccl_step_bytes");
  save(path);
  std::ifstream in(path, std::ios::binary);
  const std::string whole{std::istreambuf_iterator<char>(in), {}};
  const auto write = [&](const std::string& bytes) {
    std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
  };
  for (std::size_t size = 0; size < whole.size(); ++size) {
    write(whole.substr(0, size));
    EXPECT_NE(refusal(path).find("state file"), std::string::npos) << size;
  }
  for (std::size_t at = 10; at < whole.size();
       ++at) {  // the state itself has a checksum of its own
    std::string changed = whole;
    changed[at] = static_cast<char>(changed[at] ^ 1);
    write(changed);
    EXPECT_NE(refusal(path).find("state file"), std::string::npos) << at;
  }
}

TEST(StateDir, MustBeWritable) {
  const fs::path directory = scratch("sparccl_state_dir");
  EXPECT_NO_THROW(require_writable(directory / "new" / "one"));
  EXPECT_TRUE(fs::is_empty(directory / "new" / "one"));
  std::ofstream(directory / "file") << "x";
  try {
    require_writable(directory / "file");
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("SPARCCL_STATE_DIR: expected a directory"),
              std::string::npos);
  }
}

}  // namespace
}  // namespace sparccl::shim
