// A stack of its own that a thread switches to and back. Sanitizers are told.
#pragma once

#include <cstddef>
#include <vector>

namespace simt::detail {

class Fiber {
 public:
  /// The thread's own stack, as something to switch back to.
  Fiber();
  ~Fiber();
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;

  /// What it does when it is switched to for the first time, and again each time run() returns.
  void prepare(void (*run)(void*), void* argument) {
    run_ = run;
    argument_ = argument;
  }
  /// On the fiber that runs: goes on with the other one, returns when something switches back.
  void switch_to(Fiber& other);

  /// Fibers with stacks, from a pool for all threads. Given back when run() has switched away for
  /// the last time.
  [[nodiscard]] static std::vector<Fiber*> take(std::size_t count);
  static void give_back(const std::vector<Fiber*>& fibers);

 private:
  struct WithStack {};
  explicit Fiber(WithStack);
  void arrive(Fiber& from, void* context);
  struct Entry;

  void* context_ = nullptr;
  void (*run_)(void*) = nullptr;
  void* argument_ = nullptr;
  void* mapping_ = nullptr;       // null: a thread's own stack
  const void* bottom_ = nullptr;  // of the stack, for AddressSanitizer
  std::size_t size_ = 0;
  void* fake_stack_ = nullptr;
  void* tsan_ = nullptr;
};

}  // namespace simt::detail
