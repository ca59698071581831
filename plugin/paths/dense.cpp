// Path::dense: a dense allreduce of the gradient, and of the residual as long as there is one.
#include "paths/routes.hpp"

namespace sparccl {
namespace {

/// Once the residual was sent, a step is the transport's allreduce and nothing else: a gradient
/// travels as it is, so that nothing is added to what the rounding of a 16-bit sum left over, which
/// stays in the residual. The other form of a step, which reads the residual, moves the same bytes:
/// ranks need not agree on it.
class DenseRoute final : public Route {
 public:
  DenseRoute(const RouteContext& tensor, const Plan& plan, const Options& options)
      : tensor_(tensor),
        plan_(plan),
        needs_verdict_(options.non_finite == NonFinite::error),
        wire_bytes_(dense_bytes(plan)),
        scratch_bytes_(tensor.backend().workspace_bytes(least(plan))),
        scratch_(tensor.backend().allocate(scratch_bytes_)),
        sum_(tensor.backend().allocate(tensor_bytes())) {}

  Path path() const noexcept override { return Path::dense; }

  RouteBytes bytes() const noexcept override {
    return {wire_bytes_, tensor_bytes(), scratch_bytes_ + tensor_bytes()};
  }

  void enter(Stream) override {
    residual_ = resumed_ ? Residual::at_rest : Residual::unknown;
    resumed_ = false;
  }

  bool at_rest() const override { return resumed_ || residual_ == Residual::at_rest || was_sent(); }
  void resume_at_rest() override { resumed_ = true; }

  int exchanges() const noexcept override { return 1; }
  Transport& transport(int) override { return tensor_.transport(); }

  void prepare(int, const Run& run) override {
    look_at_report();
    direct_ = residual_ == Residual::at_rest && run.step.scale == 1.0 && !needs_verdict_;
    if (direct_) return;
    tensor_.observer.timed(Stage::accumulate, [&] {
      backend().prepare_dense(plan_, run.step, tensor_.memory, sum_.get());
    });
  }

  void exchange(int, const Run& run) override {
    const void* const send = direct_ ? run.step.gradient : sum_.get();
    void* const recv = direct_ ? run.output.dense : sum_.get();
    tensor_.transport().all_reduce(send, recv, plan_.count, plan_.type, run.output.reduction,
                                   run.step.stream);
  }

  void finish(const Run& run) override {
    if (direct_) {  // no stage: nothing is left to do with the result
      backend().count_dense(plan_, run.step, tensor_.memory, scratch_.get());
      return;
    }
    const std::uint64_t entries_before = tensor_.memory.report->entries;
    tensor_.observer.timed(Stage::merge, [&] {
      backend().conclude_dense(plan_, run.step, tensor_.memory, scratch_.get(), sum_.get(),
                               run.output);
    });
    if (residual_ == Residual::unknown) {
      entries_before_ = entries_before;
      residual_ = Residual::sent;
    }
  }

  void take_back(const Run&) override {}  // nothing changes before the end of a step

  void keep_buffers() noexcept override { static_cast<void>(sum_.release()); }

 private:
  /// sent: a step that sends all of it is under way or done.
  enum class Residual { unknown, sent, at_rest };

  void look_at_report() {
    if (was_sent()) {
      residual_ = Residual::at_rest;
    } else if (residual_ == Residual::sent && tensor_.memory.report->entries > entries_before_) {
      residual_ = Residual::unknown;  // some did not fit their type: the rest is sent again
    }
  }

  /// Whether a step that sent the residual is done, and had a sum: its entries say both. On a
  /// device the report may tell of it some steps later, which would change the bits of a 16-bit
  /// result from run to run: there such a residual is sent with every step.
  [[nodiscard]] bool was_sent() const {
    const bool nothing_left = plan_.type == plan_.accumulator();
    return residual_ == Residual::sent && (nothing_left || !tensor_.communicator.asynchronous()) &&
           tensor_.memory.report->entries >= entries_before_ + plan_.count;
  }

  /// The stages of this path need no more of a workspace than its header.
  static Plan least(Plan plan) {
    plan.count = plan.k = 1;
    return plan;
  }

  [[nodiscard]] std::size_t tensor_bytes() const noexcept {
    return plan_.count * size_of(plan_.type);
  }
  [[nodiscard]] Backend& backend() const noexcept { return tensor_.backend(); }

  RouteContext tensor_;
  Plan plan_;
  bool needs_verdict_;
  std::size_t wire_bytes_;
  std::size_t scratch_bytes_;
  Backend::Buffer scratch_;
  Backend::Buffer sum_;  // [count] type
  Residual residual_ = Residual::unknown;
  std::uint64_t entries_before_ = 0;  // of the report, when a step that sends it was enqueued
  bool resumed_ = false;
  bool direct_ = false;
};

}  // namespace

std::unique_ptr<Route> make_dense_route(const RouteContext& tensor, const Plan& plan,
                                        const Options& options) {
  return std::make_unique<DenseRoute>(tensor, plan, options);
}

}  // namespace sparccl
