// A group of ranks of the C API, one thread each.
#pragma once

#include <gtest/gtest.h>

#include <cstring>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include <sparccl/sparccl.h>

namespace sparccl::test {

inline std::string last_error() { return sparcclGetLastError(nullptr); }

/// An enumerator as a C caller may pass it: any int. A conversion would be undefined in C++.
template <class Enum>
Enum any_int(int number) {
  Enum value;
  static_assert(sizeof(value) == sizeof(number));
  std::memcpy(&value, &number, sizeof(value));
  return value;
}

/// The call returned this code, and its sentence holds this part.
inline void expect_failure(sparcclResult_t found, sparcclResult_t expected,
                           const std::string& part) {
  EXPECT_EQ(found, expected) << sparcclGetErrorString(found) << ": " << last_error();
  EXPECT_NE(last_error().find(part), std::string::npos) << "\"" << last_error() << "\"";
}

class Ranks {
 public:
  /// A rank that does not come is an error after 20 s, not a test that hangs.
  static sparcclConfig_t patient() {
    sparcclConfig_t config = SPARCCL_CONFIG_INITIALIZER;
    config.timeoutMs = 20'000;
    return config;
  }

  explicit Ranks(int size, const sparcclConfig_t& config = patient())
      : comms(static_cast<std::size_t>(size)) {
    EXPECT_EQ(sparcclCommInitAll(comms.data(), size, &config), sparcclSuccess) << last_error();
  }
  ~Ranks() {
    for (sparcclComm_t comm : comms) {
      if (comm == nullptr) continue;
      EXPECT_EQ(sparcclCommDestroy(comm), sparcclSuccess) << last_error();
    }
  }
  Ranks(const Ranks&) = delete;
  Ranks& operator=(const Ranks&) = delete;

  void on_each(const std::function<void(sparcclComm_t comm, int rank)>& f) const {
    std::vector<std::thread> threads;
    for (std::size_t rank = 0; rank < comms.size(); ++rank) {
      threads.emplace_back([&, rank] { f(comms[rank], static_cast<int>(rank)); });
    }
    for (std::thread& thread : threads) thread.join();
  }

  std::vector<sparcclComm_t> comms;
};

}  // namespace sparccl::test
