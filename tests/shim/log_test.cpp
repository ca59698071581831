#include "shim/log.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>

namespace sparccl::shim {
namespace {

std::string contents(const std::filesystem::path& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

std::filesystem::path scratch(const char* name) {
  const auto path = std::filesystem::path(::testing::TempDir()) / name;
  std::filesystem::remove(path);
  return path;
}

TEST(Log, KeepsToItsLevel) {
  const auto path = scratch("sparccl_log_level");
  {
    Log log(LogLevel::info, path.string());
    log.warn("one");
    log.info("two");
    log.trace("three");
    log.print("four\n");
  }
  const std::string text = contents(path);
  EXPECT_NE(text.find(" SPARCCL WARN one\n"), std::string::npos) << text;
  EXPECT_NE(text.find(" SPARCCL INFO two\n"), std::string::npos);
  EXPECT_EQ(text.find("three"), std::string::npos);
  EXPECT_NE(text.find("\nfour\n"), std::string::npos);
}

TEST(Log, NamesItsFileAfterTheProcess) {
  const auto path = scratch(("sparccl_log_" + std::to_string(getpid())).c_str());
  Log(LogLevel::warn, (path.parent_path() / "sparccl_log_%p").string()).warn("here");
  EXPECT_NE(contents(path).find("here"), std::string::npos);
}

TEST(Log, GoesToStderrWhereTheFileCannotBeWritten) {
  ::testing::internal::CaptureStderr();
  Log(LogLevel::warn, "/no/such/directory/log").warn("after all");
  const std::string text = ::testing::internal::GetCapturedStderr();
  EXPECT_NE(text.find("SPARCCL_DEBUG_FILE"), std::string::npos);
  EXPECT_NE(text.find("after all"), std::string::npos);
}

}  // namespace
}  // namespace sparccl::shim
