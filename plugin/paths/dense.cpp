// Path::dense: a dense allreduce of the gradient, and of the residual as long as there is one.
#include "paths/routes.hpp"

namespace sparccl {
namespace {

/// Once the residual is known to be zero, a step is the transport's allreduce and nothing else. The
/// other form of a step, which reads the residual, moves the same bytes: ranks need not agree on
/// it.
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

  void enter(Stream) override { residual_ = Residual::unknown; }

  int exchanges() const noexcept override { return 1; }
  Transport& transport(int) override { return tensor_.transport(); }

  void prepare(int, const Run& run) override {
    look_at_report();
    direct_ = residual_ == Residual::zero && run.step.scale == 1.0 && !needs_verdict_;
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
  enum class Residual { unknown, sent, zero };

  /// Of types that travel as they are, nothing is left over: once a step with a sum is done, the
  /// residual is zero. On a device the report may tell of it some steps later, one number after the
  /// other: this one alone says that there was a step, and that it had a sum.
  void look_at_report() {
    if (residual_ != Residual::sent || plan_.type != plan_.accumulator()) return;
    if (tensor_.memory.report->entries > entries_before_) residual_ = Residual::zero;
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
  bool direct_ = false;
};

}  // namespace

std::unique_ptr<Route> make_dense_route(const RouteContext& tensor, const Plan& plan,
                                        const Options& options) {
  return std::make_unique<DenseRoute>(tensor, plan, options);
}

}  // namespace sparccl
