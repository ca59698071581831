// What all communicators of a process share: settings, log, counts, timeline.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "shim/log.hpp"
#include "shim/settings.hpp"
#include "shim/tally.hpp"
#include "shim/timeline.hpp"

namespace sparccl::shim {

class Process {
 public:
  /// Throws Error(invalid_argument) for a variable that does not have its form.
  explicit Process(const Environment& environment);

  [[nodiscard]] const Settings& settings() const noexcept { return settings_; }
  /// As they are compared with those of other ranks.
  [[nodiscard]] const std::vector<std::pair<std::string, std::string>>& shared() const noexcept {
    return shared_;
  }
  [[nodiscard]] Log& log() noexcept { return log_; }
  [[nodiscard]] Tally& tally() noexcept { return tally_; }

  /// Of this process in its job, where that is known; -1 elsewhere.
  void set_rank(int rank) noexcept { rank_ = rank; }
  [[nodiscard]] int rank() const noexcept { return rank_; }

  /// Of a rank; null where there is to be none. Opened at the first call.
  [[nodiscard]] Timeline* timeline(int rank);
  /// Ends the files. They stay, for threads that may still come to them.
  void close_timelines() noexcept;

  /// Whether a call may be sparsified as far as its key, number and settings tell: nothing, or why
  /// not. The same on every rank.
  [[nodiscard]] std::optional<Reason> refuses(const Key& key, std::uint64_t number) const noexcept;

  /// How often a signal has asked for the state to be saved. All ranks of a communicator save at
  /// the next step at which they look.
  std::atomic<std::uint64_t> save_requests = 0;

 private:
  Settings settings_;
  std::vector<std::pair<std::string, std::string>> shared_;
  Log log_;
  Tally tally_;
  std::atomic<int> rank_ = -1;
  std::mutex mutex_;  // of timelines_
  std::map<std::string, std::unique_ptr<Timeline>> timelines_;
};

/// The one of this process, made when the shim is loaded. A setting that does not have its form
/// ends the process: exit code 2, one line on stderr that begins with the shim's name.
[[nodiscard]] Process& process();

/// Of the shim that this is: "libsparccl-mpi". Each shim defines it.
[[nodiscard]] const char* shim_name() noexcept;

}  // namespace sparccl::shim
