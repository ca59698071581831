// What a session saves, and what it finds of an earlier run.
#include <fstream>
#include <utility>

#include "shim/session.hpp"
#include "sparse_allreduce.hpp"

namespace sparccl::shim {

/// What is wrong with this rank's state, for all ranks to know; or nothing.
std::string Session::open_state() {
  if (state_path_.empty()) return {};
  try {
    require_writable(process_.settings().state_dir);
    const auto step = load_step(state_path_, communicator_.rank(), communicator_.size());
    if (step) load(*step);
  } catch (const std::exception& error) {
    return error.what();
  }
  return {};
}

/// All of it at once: what is damaged is an error before anything has been sent.
void Session::load(const SavedStep& step) {
  std::ifstream file(state_path_, std::ios::binary);
  for (std::size_t i = 0; i < step.slots.size(); ++i) {
    const SavedStep::Slot& saved = step.slots[i];
    Slot slot;
    slot.key = saved.key;
    slot.uses = saved.uses;
    if (saved.bytes != 0) {
      make_tensor(slot, i, step.slots.size());
      file.seekg(static_cast<std::streamoff>(saved.begin));
      slot.tensor->impl().read(file, saved.bytes, state_path_);
    }
    saved_.push_back(std::move(slot));
  }
  saved_fingerprint_ = step.fingerprint();
}

/// The tensors of an earlier run, once the step is known.
void Session::adopt_saved(bool same_step) {
  if (saved_.empty()) return;
  std::vector<Slot> saved = std::exchange(saved_, {});
  if (!same_step) {
    warn_of_reset("state file " + state_path_.string() + " of " + saved_fingerprint_ +
                  " is not loaded: expected the step of this run, of " +
                  std::to_string(slots_.size()) +
                  " calls in the same order, none of which another could be taken for");
    for (Slot& slot : saved) end(slot);
    return;
  }
  for (Slot& slot : saved) {
    if (slot.tensor == nullptr) continue;
    process_.log().info(label_ + ": " + slot.tensor->name() + " goes on after " +
                        std::to_string(slot.uses) + " calls, from " + state_path_.string());
  }
  slots_ = std::move(saved);
}

void Session::save() try {
  SavedStep step{communicator_.size(), communicator_.rank(), {}};
  for (const Slot& slot : slots_) step.slots.push_back({slot.key, slot.uses, 0, 0});
  if (step.slots.empty()) return;  // nothing was learned: what an earlier run left stays
  save_step(state_path_, step, [&](std::size_t slot, std::ostream& out) {
    if (slots_[slot].tensor != nullptr) slots_[slot].tensor->impl().write(out);
  });
  process_.log().info(label_ + ": state saved to " + state_path_.string());
} catch (const Error& error) {  // the state of the file before stays
  process_.log().warn(label_ + ": " + error.what());
}

}  // namespace sparccl::shim
