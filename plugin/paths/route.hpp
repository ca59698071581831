// How a step's gradient reaches the other ranks: stages of the backend and exchanges of a
// transport, in an order of its own for each Path.
#pragma once

#include <memory>
#include <string>

#include "communicator.hpp"
#include "observation.hpp"
#include "plan.hpp"
#include "stages.hpp"

namespace sparccl {

/// What a tensor and its routes share. Outlives them.
struct RouteContext {
  Communicator::Impl& communicator;
  const std::string& name;
  Memory& memory;
  Observer& observer;

  [[nodiscard]] Backend& backend() const noexcept { return communicator.backend(); }
  [[nodiscard]] Transport& transport() const noexcept { return communicator.transport(); }
};

/// One call: what goes in, where it comes out.
struct Run {
  Step step;
  Output output;
};

/// Memory that a tensor holds for its route.
struct RouteBytes {
  std::size_t wire = 0;  // that this rank sends in a step, between nodes where it tells them apart
  std::size_t packet = 0;     // of the largest message to one rank
  std::size_t workspace = 0;  // scratch and packets
};

/// A step is: for each exchange, prepare() (local) and exchange() (collective); then finish()
/// (local). Stages are told to the observer. A route allocates in its constructor and nowhere else.
class Route {
 public:
  virtual ~Route() = default;

  [[nodiscard]] virtual Path path() const noexcept = 0;
  [[nodiscard]] virtual RouteBytes bytes() const noexcept = 0;

  /// Points the tensor's memory at what this route keeps there. Before its first step.
  virtual void install(Memory&) {}

  /// Whether ranges of a saved state ([P + 1] bounds, [P] demand) fit into what it keeps there.
  [[nodiscard]] virtual bool takes_ranges(const std::vector<std::uint64_t>&) const { return false; }

  /// Whether steps depend on what it keeps from call to call besides the residual, and on all ranks
  /// must have begun at the same call.
  [[nodiscard]] virtual bool has_course() const { return false; }

  /// Collective, before the first step after another route or a load: moves the residual to where
  /// this route looks for it. Nothing of it is lost.
  virtual void enter(Stream) {}

  /// Whether the residual was sent and what rounding left of it stays; part of a saved state. After
  /// resume_at_rest(), which comes before enter(), it is so from the first step on.
  [[nodiscard]] virtual bool at_rest() const { return false; }
  virtual void resume_at_rest() {}

  [[nodiscard]] virtual int exchanges() const noexcept = 0;
  /// The one that carries out an exchange, for those who group them.
  [[nodiscard]] virtual Transport& transport(int exchange) = 0;
  virtual void prepare(int exchange, const Run& run) = 0;
  virtual void exchange(int exchange, const Run& run) = 0;
  virtual void finish(const Run& run) = 0;

  /// After a failure: residual and history as before the step.
  virtual void take_back(const Run& run) = 0;

  /// A transport may go on using the buffers of an exchange that failed: they are never freed.
  virtual void keep_buffers() noexcept {}

  /// Of a bad packet: which field of its header is wrong, if that says more than its Problem.
  [[nodiscard]] virtual std::string describe_bad(int) { return {}; }

  /// Who a verdict's number means: "rank 3".
  [[nodiscard]] virtual std::string describe_peer(int number) const {
    return "rank " + std::to_string(number);
  }
};

/// For Path::hierarchical: collective, and it throws where the ranks' nodes do not allow it.
/// options: of the tensor.
[[nodiscard]] std::unique_ptr<Route> make_route(Path path, const RouteContext& tensor,
                                                const Plan& plan, const Options& options);

}  // namespace sparccl
