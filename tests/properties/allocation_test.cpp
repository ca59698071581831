// No allocation after construction: calls of operator() and sparse() ask nothing of the heap.
#include <atomic>
#include <cstdlib>
#include <new>

#include <gtest/gtest.h>

#include "world.hpp"

namespace {
std::atomic<bool> counting = false;
std::atomic<std::size_t> allocations = 0;

void note() {
  if (counting.load(std::memory_order_relaxed)) ++allocations;
}
}  // namespace

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
// Sanitizers call this for every allocation of the process.
extern "C" __attribute__((visibility("default"))) void __sanitizer_malloc_hook(const volatile void*,
                                                                               std::size_t) {
  note();
}
#elif defined(__GLIBC__)
// glibc's own names let malloc itself be counted.
extern "C" {
void* __libc_malloc(std::size_t size);
void* __libc_memalign(std::size_t alignment, std::size_t size);
__attribute__((visibility("default"))) void* malloc(std::size_t size) {
  note();
  return __libc_malloc(size);
}
__attribute__((visibility("default"))) void* aligned_alloc(std::size_t alignment,
                                                           std::size_t size) {
  note();
  return __libc_memalign(alignment, size);
}
}
#endif

namespace sparccl::test {
namespace {

TEST(Allocation, IsCounted) {
  counting = true;
  void* volatile memory =
      ::operator new(100);  // volatile: a pair of new and delete may be left out
  ::operator delete(memory);
  counting = false;
  EXPECT_GE(allocations.exchange(0), 1u);
}

TEST(Allocation, NoneInACall) {
  constexpr std::size_t count = 300'000;
  constexpr int ranks = 3;
  for (const DataType type : floating_types) {
    SCOPED_TRACE(name_of(type));
    const Shape shape{
        .ranks = ranks, .count = count, .k = 3'000, .type = type, .wire = type, .mu = 2};
    World world(shape);
    std::vector<Bytes> gradients;
    for (int r = 0; r < ranks; ++r) {
      gradients.push_back(
          to_bytes(type, make_data(Pattern::gaussian, count, type, std::uint64_t(r))));
    }
    std::vector<Bytes> results(ranks, Bytes(count * size_of(type)));
    std::vector<std::vector<std::uint64_t>> positions(
        ranks, std::vector<std::uint64_t>(world.tensor(0).sparse_capacity()));
    Bytes bad = gradients[1];
    store(type, bad.data(), count - 1, std::numeric_limits<double>::infinity());

    allocations = 0;
    std::atomic<int> ready = 0, done = 0;
    world.each([&](SparseAllreduce& tensor, int rank) {
      const auto r = static_cast<std::size_t>(rank);
      const auto call = [&] { tensor(gradients[r].data(), results[r].data()); };
      call();  // warm-up: what threads allocate for themselves
      ++ready;
      while (ready < ranks) {
      }
      counting = true;
      for (int t = 0; t < 3; ++t) call();
      static_cast<void>(tensor.sparse(gradients[r].data(), positions[r].data(), results[r].data()));
      tensor(rank == 1 ? bad.data() : gradients[r].data(), results[r].data());  // not finite
      call();
      ++done;
      while (done < ranks) {
      }
      counting = false;
    });
    EXPECT_EQ(allocations.load(), 0u);
  }
}

}  // namespace
}  // namespace sparccl::test
