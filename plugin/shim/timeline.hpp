// SPARCCL_TIMELINE: what happened when, in the format of Chrome's trace viewer and Perfetto.
#pragma once

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <mutex>
#include <string>
#include <vector>

#include <sparccl/sparccl.hpp>

#include "stage_clock.hpp"

namespace sparccl::shim {

/// Each call is an event of its tensor with an event a stage inside. Written as calls end, so that
/// a program that is killed leaves what it did. Thread-safe; after an error of the file it is
/// silent.
class Timeline {
 public:
  /// Throws Error(system_error) with the system's reason.
  explicit Timeline(const std::string& path);
  ~Timeline();
  Timeline(const Timeline&) = delete;
  Timeline& operator=(const Timeline&) = delete;

  struct Call {
    int rank = 0;                    // a process of the viewer's
    std::uint64_t communicator = 0;  // a thread of the viewer's
    std::string tensor;
    std::uint64_t wire_bytes = 0;
    std::uint64_t entries = 0;
    std::string path{}, path_reason{};
  };
  void add(const Call& call, const StageTimes& times) noexcept;

  /// Ends the file; what is added later is dropped.
  void close() noexcept;

 private:
  using Clock = std::chrono::steady_clock;
  [[nodiscard]] double us(Clock::time_point time) const noexcept {
    return std::chrono::duration<double, std::micro>(time - start_).count();
  }
  void write(const std::string& event);

  std::mutex mutex_;
  std::FILE* file_;
  Clock::time_point start_ = Clock::now();  // zero of the picture
  bool first_ = true;
  std::vector<int> ranks_;  // that have been named
};

/// `path` with %r replaced by the rank. Without %r: of rank 0 alone, "" for the others.
[[nodiscard]] std::string timeline_path(std::string path, int rank);

}  // namespace sparccl::shim
