// Path::split: each rank reduces the entries of one range of positions; then all get all ranges.
#include "paths/packets.hpp"
#include "paths/routes.hpp"
#include "split_plan.hpp"

namespace sparccl {
namespace {

class SplitRoute final : public Route {
 public:
  SplitRoute(const RouteContext& tensor, const Plan& plan)
      : tensor_(tensor),
        plan_(plan),
        split_(make_split_plan(plan)),
        workspace_bytes_(tensor.backend().workspace_bytes(plan)),
        scratch_bytes_(tensor.backend().split_bytes(split_)),
        workspace_(tensor.backend().allocate(workspace_bytes_)),
        scratch_(tensor.backend().allocate(scratch_bytes_)),
        ranges_(tensor.backend().allocate(range_bytes())),
        own_(tensor.backend(), plan, Packets::Kind::whole, 1, 0, 1),
        outgoing_(tensor.backend(), split_.sent, Packets::Kind::range, plan.world_size, 0,
                  plan.world_size),
        incoming_(tensor.backend(), split_.sent, Packets::Kind::range, plan.world_size, 0, 0),
        reduced_(tensor.backend(), split_.reduced, Packets::Kind::range, plan.world_size, plan.rank,
                 plan.rank + 1) {
    const std::vector<std::uint64_t> bounds = equal_bounds(split_);
    tensor.backend().upload(ranges_.get(), bounds.data(), bounds.size() * sizeof(bounds[0]));
  }

  Path path() const noexcept override { return Path::split; }

  RouteBytes bytes() const noexcept override {
    const auto others = static_cast<std::size_t>(plan_.world_size - 1);
    return {others * (outgoing_.packet_bytes() + reduced_.packet_bytes()),
            std::max(outgoing_.packet_bytes(), reduced_.packet_bytes()),
            workspace_bytes_ + scratch_bytes_ + range_bytes() + own_.bytes() + outgoing_.bytes() +
                incoming_.bytes() + reduced_.bytes()};
  }

  void install(Memory& memory) override {
    memory.bounds = static_cast<std::uint64_t*>(ranges_.get());
    memory.demand = memory.bounds + plan_.world_size + 1;
  }

  /// Those of another density may be too long for the packets of this one.
  bool takes_ranges(const std::vector<std::uint64_t>& ranges) const override {
    if (ranges.empty() || !split_.balances) return false;
    for (std::size_t r = 0; r < static_cast<std::size_t>(plan_.world_size); ++r) {
      if (ranges[r + 1] - ranges[r] > split_.sent.count) return false;
    }
    return true;
  }

  bool has_course() const override { return split_.balances; }

  int exchanges() const noexcept override { return 2; }
  Transport& transport(int) override { return tensor_.transport(); }

  void prepare(int exchange, const Run& run) override {
    if (exchange == 0) {
      select(run);
    } else {
      tensor_.observer.timed(Stage::merge, [&] {
        backend().reduce(split_, run.step, tensor_.memory, workspace(), scratch(), incoming_.all(),
                         reduced_[plan_.rank]);
      });
    }
  }

  void exchange(int exchange, const Run& run) override {
    Transport& transport = tensor_.transport();
    if (exchange == 0) {
      transport.all_to_all(outgoing_.slots(), incoming_.slots(), outgoing_.packet_bytes(),
                           run.step.stream);
    } else {
      transport.all_gather(reduced_.slots(), reduced_.packet_bytes(), run.step.stream);
    }
  }

  void finish(const Run& run) override {
    tensor_.observer.timed(Stage::merge, [&] {
      const Memory& memory = tensor_.memory;
      backend().judge(split_, run.step, memory, workspace(), scratch(), reduced_.all());
      backend().restore(plan_, run.step, memory, workspace());
      backend().join(split_, run.step, memory, workspace(), scratch(), own_[0], reduced_.all(),
                     run.output);
    });
  }

  void take_back(const Run& run) override {
    backend().restore(plan_, run.step, tensor_.memory, workspace());
  }

  void keep_buffers() noexcept override {
    outgoing_.keep();
    incoming_.keep();
    reduced_.keep();
  }

 private:
  void select(const Run& run) {
    Observer& observer = tensor_.observer;
    const Memory& memory = tensor_.memory;
    observer.timed(Stage::accumulate,
                   [&] { backend().accumulate(plan_, run.step, memory, workspace()); });
    observer.timed(Stage::select, [&] { backend().select(plan_, run.step, memory, workspace()); });
    observer.timed(Stage::pack, [&] {
      backend().pack(plan_, run.step, memory, workspace(), own_[0]);
      backend().scatter(split_, run.step, memory, workspace(), scratch(), own_[0], outgoing_.all());
    });
  }

  [[nodiscard]] std::size_t range_bytes() const noexcept {
    return (2 * static_cast<std::size_t>(plan_.world_size) + 1) * sizeof(std::uint64_t);
  }
  [[nodiscard]] Backend& backend() const noexcept { return tensor_.backend(); }
  [[nodiscard]] void* workspace() const noexcept { return workspace_.get(); }
  [[nodiscard]] void* scratch() const noexcept { return scratch_.get(); }

  RouteContext tensor_;
  Plan plan_;
  SplitPlan split_;
  std::size_t workspace_bytes_, scratch_bytes_;
  Backend::Buffer workspace_, scratch_, ranges_;
  Packets own_;       // what this rank selected
  Packets outgoing_;  // to each range
  Packets incoming_;  // to this rank's range
  Packets reduced_;   // of each range
};

}  // namespace

std::unique_ptr<Route> make_split_route(const RouteContext& tensor, const Plan& plan) {
  return std::make_unique<SplitRoute>(tensor, plan);
}

}  // namespace sparccl
