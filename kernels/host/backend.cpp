#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <string>

#include "host/device_memory.hpp"
#include "host/host_stages.hpp"
#include "host/split.hpp"
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

  std::size_t split_bytes(const SplitPlan& split) const override {
    return visit_accumulator(split.whole.accumulator(), [&]<class A>(Tag<A>) {
      return host::SplitScratch<A>(split, nullptr).bytes;
    });
  }

  void scatter(const SplitPlan& split, const Step&, const Memory& memory, void* workspace,
               void* scratch, const Packet& own, std::span<const Packet> outgoing) override {
    host::scatter(split, memory, workspace, scratch, own, outgoing);
  }

  void reduce(const SplitPlan& split, const Step&, const Memory& memory, void*, void* scratch,
              std::span<const Packet> incoming, const Packet& outgoing) override {
    host::reduce(simd_, split, memory, scratch, incoming, outgoing);
  }

  void judge(const SplitPlan& split, const Step& step, const Memory& memory, void* workspace, void*,
             std::span<const Packet> reduced) override {
    host::judge(split, step, memory, workspace, reduced);
  }

  void join(const SplitPlan& split, const Step&, const Memory& memory, void* workspace,
            void* scratch, const Packet& own, std::span<const Packet> reduced,
            const Output& output) override {
    host::join(simd_, split, memory, workspace, scratch, own, reduced, output);
  }

  void prepare_dense(const Plan& plan, const Step& step, const Memory& memory,
                     void* send) override {
    host::prepare_dense(plan, step, memory, send);
  }

  void conclude_dense(const Plan& plan, const Step& step, const Memory& memory, void* workspace,
                      const void* sum, const Output& output) override {
    host::conclude_dense(plan, step, memory, workspace, sum, output);
  }

  void count_dense(const Plan& plan, const Step& step, const Memory& memory,
                   void* workspace) override {
    *static_cast<host::WorkspaceHeader*>(workspace) = {};
    host::conclude(step, memory, workspace, {Verdict::Kind::sum}, plan.count);
  }

  void tell_finite(const Plan&, const Step&, void* workspace, std::uint64_t* flag) override {
    *flag = static_cast<host::WorkspaceHeader*>(workspace)->finite ? 0 : 1;
  }

  void hear_finite(const Plan& plan, const Step& step, const Memory& memory, void* workspace,
                   const std::uint64_t* flags, std::size_t size) override {
    if (std::all_of(flags, flags + size, [](std::uint64_t flag) { return flag == 0; })) return;
    host::spoil(simd_, plan, step, memory, workspace);
  }

  void convert(void* to, DataType to_type, const void* from, DataType from_type, std::size_t count,
               double scale, Stream) override {
    host::convert(to, to_type, from, from_type, count, scale);
  }
  void copy(void* to, const void* from, std::size_t bytes, Stream) override {
    if (bytes != 0) std::memcpy(to, from, bytes);
  }
  void clear(void* memory, std::size_t bytes, Stream) override {
    if (bytes != 0) std::memset(memory, 0, bytes);
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
