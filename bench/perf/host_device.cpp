#include <algorithm>
#include <cstring>
#include <new>

#include "device.hpp"
#include "machine.hpp"

namespace sparccl::perf {
namespace {

constexpr std::align_val_t line{64};

class HostDevice final : public Device {
 public:
  Buffer allocate(std::size_t bytes) override {
    Buffer buffer(::operator new(std::max<std::size_t>(bytes, 1), line),
                  [](void* memory) { ::operator delete(memory, line); });
    std::memset(buffer.get(), 0, bytes);
    return buffer;
  }
  void upload(void* to, const void* from, std::size_t bytes) override { copy(to, from, bytes); }
  void download(void* to, const void* from, std::size_t bytes) override { copy(to, from, bytes); }
  void copy(void* to, const void* from, std::size_t bytes) override {
    std::memcpy(to, from, bytes);
  }
  void synchronize() override {}
  Stream stream() override { return nullptr; }
  std::size_t available() override { return available_memory(); }
  std::string name() override { return "host memory"; }
  Communicator communicator(const Communicator& of_ranks) override { return of_ranks; }
};

}  // namespace

std::unique_ptr<Device> host_device() { return std::make_unique<HostDevice>(); }

}  // namespace sparccl::perf
