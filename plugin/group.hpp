// Calls of several ranks or tensors by one thread, carried out together; see sparccl::Group.
#pragma once

#include <memory>
#include <vector>

#include "communicator.hpp"

namespace sparccl {

/// One call of an asynchronous communicator, cut where ranks meet. Local parts enqueue work on the
/// call's stream, collective ones a transfer.
class PhasedCall {
 public:
  virtual ~PhasedCall() = default;
  [[nodiscard]] virtual Communicator::Impl& communicator() noexcept = 0;
  [[nodiscard]] virtual const void* owner() const noexcept { return nullptr; }
  virtual void announce() = 0;  // local: what this rank is about to do
  virtual void meet() = 0;      // collective: the others', too
  virtual void verify() = 0;    // local: whether all are about to do the same
  [[nodiscard]] virtual int exchanges() const noexcept { return 1; }
  [[nodiscard]] virtual Transport& transport(int) { return communicator().transport(); }
  virtual void prepare(int) {}          // local: up to what an exchange sends
  virtual void exchange(int) = 0;       // collective
  virtual void exchanged(int) {}        // local: that is over, for those who measure it
  virtual void finish() = 0;            // local: from what came to the result
  virtual void abandon() noexcept = 0;  // after a failure: as if there had been no call
};

/// Whether this thread has a group open.
[[nodiscard]] bool in_group() noexcept;

void add_to_group(std::unique_ptr<PhasedCall> call);

/// Forgets the calls of this thread's group that belong to `owner`, which is about to end.
void withdraw_from_group(const void* owner) noexcept;

/// All phases of the calls, collective ones as groups of their transports. If a phase throws, all
/// calls are abandoned and their communicators fail.
void carry_out(const std::vector<std::unique_ptr<PhasedCall>>& calls);

}  // namespace sparccl
