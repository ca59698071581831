#include <cstdlib>
#include <cstring>
#include <string>

#include "host/device_memory.hpp"
#include "host/host_stages.hpp"
#include "host/workspace.hpp"
#include "visit.hpp"

namespace sparccl {
namespace {

class HostBackend final : public Backend {
 public:
  Buffer allocate(std::size_t bytes) override {
    host::look_for_driver();
    const std::size_t rounded = (bytes + 63) / 64 * 64;
    void* memory = rounded < bytes ? nullptr : std::aligned_alloc(64, rounded == 0 ? 64 : rounded);
    if (memory == nullptr) {
      throw Error(Result::system_error,
                  "out of memory: " + std::to_string(bytes) + " bytes of host memory were refused");
    }
    std::memset(memory, 0, rounded);
    return {memory, std::free};
  }

  Buffer allocate_shared(std::size_t bytes) override { return allocate(bytes); }

  void upload(void* to, const void* from, std::size_t bytes) override {
    if (bytes != 0) std::memcpy(to, from, bytes);
  }
  void download(void* to, const void* from, std::size_t bytes) const override {
    if (bytes != 0) std::memcpy(to, from, bytes);
  }
  void finish(Stream) override {}
  void finish_all() override {}

  const char* memory_name() const noexcept override { return "host memory"; }

  void require_memory(const void* pointer, const char* what) const override {
    if (pointer == nullptr) {
      throw Error(Result::invalid_argument,
                  std::string(what) + ": expected host memory, found a null pointer");
    }
    if (const std::string found = host::device_memory_at(pointer); !found.empty()) {
      throw Error(Result::invalid_argument,
                  std::string(what) + ": expected host memory, found " + found);
    }
  }
  void require_stream(Stream stream) const override {
    if (stream == nullptr) return;
    throw Error(Result::invalid_argument,
                "stream: expected a null pointer on a host communicator, found one that is not "
                "null");
  }

  std::size_t workspace_bytes(const Plan& plan) const override {
    return visit_accumulator(plan.accumulator(), [&]<class A>(Tag<A>) {
      return host::Workspace<A>(plan, nullptr).bytes;
    });
  }

  void announce(const RollCall& roll, const void* descriptor, const std::uint64_t* step,
                std::size_t step_offset, Stream) override {
    host::announce(roll, descriptor, step, step_offset);
  }

  void verify(const RollCall& roll, Trouble* trouble, Stream) override {
    host::verify(roll, trouble);
  }

  void accumulate(const Plan& plan, const Step& step, const Memory& memory,
                  void* workspace) override {
    host::accumulate(simd_, plan, step, memory, workspace);
  }

  void select(const Plan& plan, const Step&, const Memory& memory, void* workspace) override {
    host::select(simd_, plan, memory, workspace);
  }

  void pack(const Plan& plan, const Step&, const Memory& memory, void* workspace,
            const Packet& outgoing) override {
    host::pack(plan, memory, workspace, outgoing);
  }

  void check(const Plan& plan, const Step& step, const Memory& memory, void* workspace,
             std::span<const Packet> packets) override {
    host::check(plan, step, memory, workspace, packets);
  }

  void restore(const Plan& plan, const Step& step, const Memory& memory, void* workspace) override {
    host::restore(plan, step, memory, workspace);
  }

  void merge(const Plan& plan, const Step&, const Memory& memory, void* workspace,
             std::span<const Packet> packets, const Output& output) override {
    host::merge(simd_, plan, memory, workspace, packets, output);
  }

  StepCounts counts(const Plan&, const void* workspace) const override {
    const auto* header = static_cast<const host::WorkspaceHeader*>(workspace);  // its first member
    return {header->passed, header->fallbacks};
  }

 private:
  const host::Simd& simd_ = host::choose_simd();
};

}  // namespace

std::unique_ptr<Backend> make_host_backend() { return std::make_unique<HostBackend>(); }

}  // namespace sparccl
