// Path::hierarchical: a dense reduce-scatter inside each node, an allgather of packets between the
// ranks of equal place on every node, for their shard alone, and a dense allgather inside.
//
// The residual of a shard lies where the shard does in the tensor's residual; the rest of that is
// zero, since what a rank's gradient adds elsewhere belongs to the others of its node.
#include <algorithm>
#include <cstddef>
#include <numeric>
#include <vector>

#include "hierarchy.hpp"
#include "paths/packets.hpp"
#include "paths/routes.hpp"

namespace sparccl {
namespace {

/// The tensor of the shard: its ranks are nodes, its gradients the sums of their ranks'.
Plan shard_plan(const Plan& whole, const Hierarchy& hierarchy, const Shard& shard) {
  Plan plan = whole;
  plan.count = shard.count;
  const double share = static_cast<double>(shard.count) / static_cast<double>(whole.count);
  const auto k = static_cast<std::size_t>(share * static_cast<double>(whole.k) + 0.5);
  plan.k = whole.k == whole.count ? shard.count
                                  : std::clamp(k, std::size_t{1}, std::min(whole.k, shard.count));
  plan.world_size = hierarchy.nodes;
  plan.rank = hierarchy.node;
  plan.averaged = whole.world_size;
  plan.type = whole.accumulator();
  return plan;
}

/// Of the last place, whose shard is the longest: a transport may make the exchanges of all places
/// one, for which they must be of one size.
std::size_t longest_packet(const Plan& whole, const Hierarchy& hierarchy) {
  const Shard last(whole.count, hierarchy.each, hierarchy.each - 1);
  return wire::layout(shard_plan(whole, hierarchy, last)).bytes;
}

class HierarchicalRoute final : public Route {
 public:
  HierarchicalRoute(const RouteContext& tensor, const Plan& plan, Hierarchy& hierarchy)
      : tensor_(tensor),
        whole_(plan),
        hierarchy_(hierarchy),
        shard_(plan.count, hierarchy.each, hierarchy.place),
        plan_(shard_plan(plan, hierarchy, shard_)),
        scratch_bytes_(tensor.backend().workspace_bytes(plan_)),
        scratch_(tensor.backend().allocate(scratch_bytes_)),
        packets_(tensor.backend(), plan_, Packets::Kind::whole, plan_.world_size, plan_.rank,
                 plan_.rank + 1, longest_packet(plan, hierarchy)),
        sum_(tensor.backend().allocate(shard_bytes())),
        flags_(tensor.backend().allocate(flags_bytes())),
        wide_(tensor.backend().allocate(narrow() ? whole_.count * sizeof(float) : 0)),
        result_(tensor.backend().allocate(narrow() ? shard_bytes() : 0)),
        apart_(tensor.backend().allocate(is_apart() ? shard_bytes() : 0)) {}

  Path path() const noexcept override { return Path::hierarchical; }

  RouteBytes bytes() const noexcept override {
    const std::size_t wide = narrow() ? whole_.count * sizeof(float) + shard_bytes() : 0;
    return {static_cast<std::size_t>(plan_.world_size - 1) * packets_.packet_bytes(),
            packets_.packet_bytes(),
            scratch_bytes_ + packets_.bytes() + shard_bytes() + flags_bytes() + wide +
                (is_apart() ? shard_bytes() : 0)};
  }

  /// Every rank's residual to the rank of its node whose shard it falls into.
  void enter(Stream stream) override {
    const Memory& memory = tensor_.memory;
    const bool fits = fits_history();
    hierarchy_.inside->reduce_scatter(memory.residual, sum_.get(), whole_.count,
                                      whole_.accumulator(), stream);
    backend().clear(memory.residual, whole_.count * width(), stream);
    backend().copy(place(), sum_.get(), shard_bytes(), stream);
    if (is_apart()) backend().copy(apart_.get(), place(), shard_bytes(), stream);
    if (!fits) {
      backend().clear(memory.sent_per_block, whole_.blocks() * sizeof(std::uint32_t), stream);
    }
  }

  bool has_course() const override { return true; }  // enter() is collective

  int exchanges() const noexcept override { return 4; }

  Transport& transport(int exchange) override {
    return exchange == 2 ? *hierarchy_.across : *hierarchy_.inside;
  }

  void prepare(int exchange, const Run& run) override {
    switch (exchange) {
      case 0: return widen(run);
      case 1: return accumulate(run);
      case 2: return pack(run);
      default: return merge(run);
    }
  }

  void exchange(int exchange, const Run& run) override {
    Transport& inside = *hierarchy_.inside;
    const Stream stream = run.step.stream;
    switch (exchange) {
      case 0:
        return inside.reduce_scatter(narrow() ? wide_.get() : run.step.gradient, sum_.get(),
                                     whole_.count, plan_.type, stream);
      case 1: return inside.all_gather(flags_.get(), sizeof(std::uint64_t), stream);
      case 2:
        return hierarchy_.across->all_gather(packets_.slots(), packets_.packet_bytes(), stream);
      default:
        return inside.all_gather_shards(run.output.dense, whole_.count, size_of(whole_.type),
                                        stream);
    }
  }

  void finish(const Run& run) override {
    if (is_apart()) backend().copy(place(), apart_.get(), shard_bytes(), run.step.stream);
  }

  void take_back(const Run& run) override {
    backend().restore(plan_, step_of(run), memory(), scratch_.get());
    finish(run);
  }

  void keep_buffers() noexcept override {
    packets_.keep();
    for (Backend::Buffer* each : {&sum_, &flags_, &wide_}) static_cast<void>(each->release());
  }

  std::string describe_bad(int node) override {
    return sparccl::describe_bad(backend(), packets_, plan_.rank, node);
  }
  std::string describe_peer(int node) const override {
    return "the rank of this one's place on node " + std::to_string(node);
  }

 private:
  /// A state may have been saved where nodes had fewer ranks, and shards were longer.
  [[nodiscard]] bool fits_history() const {
    const Memory& memory = tensor_.memory;
    std::vector<std::uint32_t> per_block(whole_.blocks());
    backend().download(per_block.data(), memory.sent_per_block,
                       per_block.size() * sizeof(per_block[0]));
    const std::size_t own = plan_.blocks();
    const auto behind = per_block.begin() + static_cast<std::ptrdiff_t>(own);
    if (std::any_of(behind, per_block.end(), [](std::uint32_t size) { return size != 0; })) {
      return false;
    }
    if (per_block[own - 1] == 0) return true;
    const auto entries = std::accumulate(per_block.begin(), behind, std::size_t{0});
    std::uint16_t last = 0;
    backend().download(&last, memory.sent_offsets + (entries - 1), sizeof(last));
    return (own - 1) * block_size + last < plan_.count;
  }

  void widen(const Run& run) {
    if (!narrow()) return;
    tensor_.observer.timed(Stage::accumulate, [&] {
      backend().convert(wide_.get(), DataType::float32, run.step.gradient, whole_.type,
                        whole_.count, run.step.scale, run.step.stream);
    });
  }

  void accumulate(const Run& run) {
    tensor_.observer.timed(Stage::accumulate, [&] {
      backend().accumulate(plan_, step_of(run), memory(), scratch_.get());
      backend().tell_finite(plan_, step_of(run), scratch_.get(), flags() + hierarchy_.place);
    });
  }

  void pack(const Run& run) {
    const Step step = step_of(run);
    tensor_.observer.timed(Stage::select, [&] {
      backend().hear_finite(plan_, step, memory(), scratch_.get(), flags(),
                            static_cast<std::size_t>(hierarchy_.each));
      backend().select(plan_, step, memory(), scratch_.get());
    });
    tensor_.observer.timed(Stage::pack, [&] {
      backend().pack(plan_, step, memory(), scratch_.get(), packets_[plan_.rank]);
    });
  }

  void merge(const Run& run) {
    const Step step = step_of(run);
    auto* const part =
        static_cast<std::byte*>(run.output.dense) + shard_.begin * size_of(whole_.type);
    const Output output{.dense = narrow() ? result_.get() : part,
                        .reduction = run.output.reduction};
    tensor_.observer.timed(Stage::merge, [&] {
      backend().check(plan_, step, memory(), scratch_.get(), packets_.all());
      backend().restore(plan_, step, memory(), scratch_.get());
      backend().merge(plan_, step, memory(), scratch_.get(), packets_.all(), output);
      if (!narrow()) return;
      backend().convert(part, whole_.type, result_.get(), DataType::float32, shard_.count, 1.0,
                        step.stream);
    });
  }

  /// The shard's: its gradient is the node's sum, which is scaled already where it was widened.
  [[nodiscard]] Step step_of(const Run& run) const {
    Step step = run.step;
    step.gradient = sum_.get();
    if (narrow()) step.scale = 1.0;
    return step;
  }

  [[nodiscard]] Memory memory() const {
    Memory memory = tensor_.memory;
    memory.residual = residual();
    return memory;
  }
  /// Stages take residuals that begin at whole lines, which a shard may not: then it lies apart
  /// during a step.
  [[nodiscard]] std::byte* residual() const {
    return is_apart() ? static_cast<std::byte*>(apart_.get()) : place();
  }
  [[nodiscard]] std::byte* place() const {
    return static_cast<std::byte*>(tensor_.memory.residual) + shard_.begin * width();
  }
  [[nodiscard]] bool is_apart() const noexcept { return shard_.begin * width() % 64 != 0; }

  /// Sums of 16-bit floats are made, and their residual kept, in float.
  [[nodiscard]] bool narrow() const noexcept { return whole_.type != whole_.accumulator(); }
  [[nodiscard]] std::size_t width() const noexcept { return size_of(whole_.accumulator()); }
  [[nodiscard]] std::size_t shard_bytes() const noexcept { return shard_.count * width(); }
  [[nodiscard]] std::size_t flags_bytes() const noexcept {
    return static_cast<std::size_t>(hierarchy_.each) * sizeof(std::uint64_t);
  }
  [[nodiscard]] std::uint64_t* flags() const noexcept {
    return static_cast<std::uint64_t*>(flags_.get());
  }
  [[nodiscard]] Backend& backend() const noexcept { return tensor_.backend(); }

  RouteContext tensor_;
  Plan whole_;
  Hierarchy& hierarchy_;
  Shard shard_;
  Plan plan_;  // of the shard
  std::size_t scratch_bytes_;
  Backend::Buffer scratch_;
  Packets packets_;         // [nodes]
  Backend::Buffer sum_;     // [shard] of this node's gradients
  Backend::Buffer flags_;   // [each] u64: whose sums are not finite
  Backend::Buffer wide_;    // [count] float, of a 16-bit gradient
  Backend::Buffer result_;  // [shard] float, of a 16-bit tensor
  Backend::Buffer apart_;   // [shard] its residual, where that does not begin at a line
};

}  // namespace

std::unique_ptr<Route> make_hierarchical_route(const RouteContext& tensor, const Plan& plan) {
  Hierarchy& hierarchy = tensor.communicator.hierarchy(tensor.name);
  if (plan.count < static_cast<std::size_t>(hierarchy.each)) {
    throw Error(Result::invalid_argument,
                about(tensor.name) + "path hierarchical: expected an entry for each of the " +
                    std::to_string(hierarchy.each) + " ranks of a node, found " +
                    std::to_string(plan.count) + ": take another path");
  }
  return std::make_unique<HierarchicalRoute>(tensor, plan, hierarchy);
}

}  // namespace sparccl
