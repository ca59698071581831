#include <cstdlib>
#include <cstring>
#include <string>

#include "host/host_stages.hpp"
#include "host/workspace.hpp"
#include "visit.hpp"

namespace sparccl {
namespace {

class HostBackend final : public Backend {
 public:
  Buffer allocate(std::size_t bytes) override {
    const std::size_t rounded = (bytes + 63) / 64 * 64;
    void* memory = rounded < bytes ? nullptr : std::aligned_alloc(64, rounded == 0 ? 64 : rounded);
    if (memory == nullptr) {
      throw Error(Result::system_error,
                  "out of memory: " + std::to_string(bytes) + " bytes of host memory were refused");
    }
    std::memset(memory, 0, rounded);
    return {memory, std::free};
  }

  std::size_t workspace_bytes(const Plan& plan) const override {
    return visit_accumulator(plan.accumulator(), [&]<class A>(Tag<A>) {
      return host::Workspace<A>(plan, nullptr).bytes;
    });
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

  Verdict check(const Plan& plan, std::span<const Packet> packets) override {
    return host::check(plan, packets);
  }

  void restore(const Plan& plan, const Step& step, const Memory& memory, void* workspace) override {
    host::restore(plan, step, memory, workspace);
  }

  std::size_t merge(const Plan& plan, const Step&, const Memory& memory, void* workspace,
                    std::span<const Packet> packets, const Verdict& verdict,
                    const Output& output) override {
    if (verdict.kind == Verdict::Kind::non_finite) return host::fill_non_finite(plan, output);
    return host::merge(simd_, plan, memory, workspace, packets, output);
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
