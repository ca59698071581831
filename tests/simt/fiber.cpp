#include "fiber.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <mutex>
#include <new>

#include <boost/context/detail/fcontext.hpp>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#endif
#if defined(__SANITIZE_THREAD__)
#include <sanitizer/tsan_interface.h>
#endif

namespace simt::detail {

namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr std::size_t stack_bytes = 256 * 1024;  // their frames are larger
#else
constexpr std::size_t stack_bytes = 64 * 1024;
#endif

struct Pool {
  std::mutex mutex;
  std::vector<Fiber*> idle;
};
Pool& pool() {
  static auto* const one = new Pool;  // threads may outlive static objects
  return *one;
}

std::size_t page() {
  static const auto bytes = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  return bytes;
}

}  // namespace

struct Fiber::Entry {
  [[noreturn]] static void enter(boost::context::detail::transfer_t transfer) {
    Fiber& from = *static_cast<Fiber**>(transfer.data)[0];
    Fiber& self = *static_cast<Fiber**>(transfer.data)[1];
    self.arrive(from, transfer.fctx);
    for (;;) self.run_(self.argument_);
  }
};

Fiber::Fiber() {
#if defined(__SANITIZE_THREAD__)
  tsan_ = __tsan_get_current_fiber();
#endif
}

Fiber::Fiber(WithStack) {
  const std::size_t guard = page();
  mapping_ = mmap(nullptr, guard + stack_bytes, PROT_READ | PROT_WRITE,
                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
  if (mapping_ == MAP_FAILED) throw std::bad_alloc();
  static_cast<void>(mprotect(mapping_, guard, PROT_NONE));  // an overflow crashes here
  auto* const bottom = static_cast<std::byte*>(mapping_) + guard;
  bottom_ = bottom;
  // Stacks begin at different lines of a page: else all would share a few sets of the cache.
  static std::atomic<std::size_t> made{0};
  size_ = stack_bytes - made++ * 5 % 32 * 64;
  context_ = boost::context::detail::make_fcontext(bottom + size_, size_, Entry::enter);
#if defined(__SANITIZE_THREAD__)
  tsan_ = __tsan_create_fiber(0);
#endif
}

Fiber::~Fiber() {
  if (mapping_ == nullptr) return;
#if defined(__SANITIZE_THREAD__)
  __tsan_destroy_fiber(tsan_);
#endif
  munmap(mapping_, page() + stack_bytes);
}

void Fiber::switch_to(Fiber& other) {
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_start_switch_fiber(&fake_stack_, other.bottom_, other.size_);
#endif
#if defined(__SANITIZE_THREAD__)
  __tsan_switch_to_fiber(other.tsan_, 0);
#endif
  Fiber* between[] = {this, &other};
  const auto transfer = boost::context::detail::jump_fcontext(other.context_, between);
  arrive(*static_cast<Fiber**>(transfer.data)[0], transfer.fctx);
}

void Fiber::arrive(Fiber& from, void* context) {
  from.context_ = context;
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(fake_stack_, &from.bottom_, &from.size_);
#endif
}

std::vector<Fiber*> Fiber::take(std::size_t count) {
  std::vector<Fiber*> taken;
  taken.reserve(count);
  {
    const std::scoped_lock lock(pool().mutex);
    auto& idle = pool().idle;
    while (taken.size() < count && !idle.empty()) {
      taken.push_back(idle.back());
      idle.pop_back();
    }
  }
  while (taken.size() < count) taken.push_back(new Fiber(WithStack{}));
  return taken;
}

void Fiber::give_back(const std::vector<Fiber*>& fibers) {
  const std::scoped_lock lock(pool().mutex);
  pool().idle.insert(pool().idle.end(), fibers.begin(), fibers.end());
}

}  // namespace simt::detail
