// One communicator of the program: its tensors, and what becomes of its calls.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <sparccl/sparccl.hpp>

#include "shim/call.hpp"
#include "shim/process.hpp"
#include "shim/state_dir.hpp"
#include "shim/steps.hpp"

namespace sparccl::shim {

/// Used by one thread at a time. Calls come in the same order, with the same keys, on every rank.
class Session {
 public:
  /// Collective. communicator: of the program's ranks, its own. label: for this rank's log.
  /// state_stem: the name of its file in SPARCCL_STATE_DIR, without what follows the dot. Throws
  /// what require_agreement() does, and why no state can be loaded or will be saved.
  Session(Process& process, Communicator communicator, std::string label, std::string state_stem,
          Stream stream = nullptr);

  ~Session();  ///< close()
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  /// Of a request that process.refuses() nothing of. Carries it out, or says why the program's own
  /// allreduce is to do it. Throws what a SparseAllreduce does; then no later call succeeds.
  std::optional<Reason> reduce(const Request& request);

  [[nodiscard]] Communicator& communicator() noexcept { return communicator_; }
  [[nodiscard]] const std::string& label() const noexcept { return label_; }

  /// Counts what an asynchronous communicator has finished since the last call. Waits for it.
  void count_finished();

  /// Waits, counts, and saves if state is to be saved and nothing has failed; what cannot be saved
  /// is in the log. Once.
  void close() noexcept;

 private:
  struct Slot {
    Key key;
    std::uint64_t uses = 0;
    double density = 0;
    std::uint64_t number = 0;  // of the tensor at this communicator, for the counts
    std::unique_ptr<SparseAllreduce> tensor;
    std::string path_reason;  // that was told
  };
  void greet();
  [[nodiscard]] std::string open_state();
  [[nodiscard]] std::vector<std::byte> exchange(const void* own, std::size_t bytes);
  [[nodiscard]] std::vector<std::uint64_t> exchange_number(std::uint64_t own);
  [[nodiscard]] Steps::Place place_of(const Request& request);
  void load(const SavedStep& step);
  void adopt_step();
  void adopt_saved(bool same_step);
  Slot& slot_of(std::size_t index, const Key& key);
  [[nodiscard]] double density_of(std::uint64_t use) const noexcept;
  void make_tensor(Slot& slot, std::size_t index, std::size_t of);
  void observe(SparseAllreduce& tensor);
  void begin_step();
  void run(Slot& slot, const Request& request);
  void count(const Slot& slot);
  void tell_path(Slot& slot);
  void warn_of_reset(const std::string& text);
  void end(Slot& slot) noexcept;
  void save();
  [[nodiscard]] int rank_in_job() const noexcept {
    return process_.rank() >= 0 ? process_.rank() : communicator_.rank();
  }
  [[nodiscard]] bool by_number() const noexcept {
    return process_.settings().match.calls_per_step != 0;
  }

  Process& process_;
  Communicator communicator_;
  std::string label_;
  Stream stream_;         // of the present call
  std::uint64_t number_;  // of the communicator, for the counts
  std::filesystem::path state_path_;
  std::string saved_fingerprint_;  // of what was found
  Steps steps_;
  std::vector<Slot> slots_;
  std::vector<Slot> saved_;  // of an earlier run, until the step is known
  std::uint64_t tensors_ = 0;
  std::uint64_t begun_ = 0;  // steps
  std::uint64_t resets_ = 0;
  std::uint64_t requests_seen_ = 0;  // of Process::save_requests
  std::uint64_t next_step_number_ = UINT64_MAX;
  std::size_t last_slot_ = Steps::no_slot;
  bool closed_ = false;
};

}  // namespace sparccl::shim
