// Path::allgather: every rank gets every rank's entries, and sums them itself.
#include "paths/packets.hpp"
#include "paths/routes.hpp"

namespace sparccl {
namespace {

class AllgatherRoute final : public Route {
 public:
  AllgatherRoute(const RouteContext& tensor, const Plan& plan)
      : tensor_(tensor),
        plan_(plan),
        scratch_bytes_(tensor.backend().workspace_bytes(plan)),
        scratch_(tensor.backend().allocate(scratch_bytes_)),
        packets_(tensor.backend(), plan, Packets::Kind::whole, plan.world_size, plan.rank,
                 plan.rank + 1) {}

  Path path() const noexcept override { return Path::allgather; }

  RouteBytes bytes() const noexcept override {
    return {static_cast<std::size_t>(plan_.world_size - 1) * packets_.packet_bytes(),
            packets_.packet_bytes(), scratch_bytes_ + packets_.bytes()};
  }

  int exchanges() const noexcept override { return 1; }
  Transport& transport(int) override { return tensor_.transport(); }

  void prepare(int, const Run& run) override {
    Observer& observer = tensor_.observer;
    const Memory& memory = tensor_.memory;
    observer.timed(Stage::accumulate,
                   [&] { backend().accumulate(plan_, run.step, memory, scratch()); });
    observer.timed(Stage::select, [&] { backend().select(plan_, run.step, memory, scratch()); });
    observer.timed(Stage::pack, [&] {
      backend().pack(plan_, run.step, memory, scratch(), packets_[plan_.rank]);
    });
  }

  void exchange(int, const Run& run) override {
    tensor_.transport().all_gather(packets_.slots(), packets_.packet_bytes(), run.step.stream);
  }

  void finish(const Run& run) override {
    tensor_.observer.timed(Stage::merge, [&] {
      const Memory& memory = tensor_.memory;
      backend().check(plan_, run.step, memory, scratch(), packets_.all());
      backend().restore(plan_, run.step, memory, scratch());
      backend().merge(plan_, run.step, memory, scratch(), packets_.all(), run.output);
    });
  }

  void take_back(const Run& run) override {
    backend().restore(plan_, run.step, tensor_.memory, scratch());
  }

  void keep_buffers() noexcept override { packets_.keep(); }

  std::string describe_bad(int rank) override {
    return sparccl::describe_bad(backend(), packets_, plan_.rank, rank);
  }

 private:
  [[nodiscard]] Backend& backend() const noexcept { return tensor_.backend(); }
  [[nodiscard]] void* scratch() const noexcept { return scratch_.get(); }

  RouteContext tensor_;
  Plan plan_;
  std::size_t scratch_bytes_;
  Backend::Buffer scratch_;
  Packets packets_;
};

}  // namespace

std::unique_ptr<Route> make_allgather_route(const RouteContext& tensor, const Plan& plan) {
  return std::make_unique<AllgatherRoute>(tensor, plan);
}

}  // namespace sparccl
