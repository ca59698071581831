#include <memory>

#include "group.hpp"
#include "sparse_allreduce.hpp"

namespace sparccl {

/// A call in a group: the same parts, apart.
class SparseAllreduce::Impl::GroupedCall final : public PhasedCall {
 public:
  GroupedCall(Impl& impl, const Run& run) : impl_(impl), run_(run) { impl_.in_group_ = true; }
  ~GroupedCall() override { impl_.in_group_ = false; }
  GroupedCall(const GroupedCall&) = delete;
  GroupedCall& operator=(const GroupedCall&) = delete;

  const void* owner() const noexcept override { return &impl_; }

  Communicator::Impl& communicator() noexcept override { return *impl_.communicator_; }
  void announce() override {
    const Range range = whole();
    impl_.begin_clock(run_.step.stream);
    impl_.in_range(Stage::wait, [&] {
      communicator().announce(impl_.call(run_.output.reduction), impl_.work_.roll,
                              impl_.memory_.step, run_.step.stream);
    });
  }
  void meet() override {
    const Range range = whole();
    impl_.in_range(Stage::wait,
                   [&] { communicator().meet(impl_.name_, impl_.work_.roll, run_.step.stream); });
  }
  void verify() override {
    const Range range = whole();
    impl_.timed(Stage::wait,
                [&] { communicator().verify(impl_.name_, impl_.work_.roll, run_.step.stream); });
  }
  void prepare() override {
    const Range range = whole();
    impl_.skip_clock();
    prepared_ = true;
    impl_.prepare(run_);
  }
  void exchange() override {
    const Range range = whole();
    impl_.skip_clock();
    impl_.in_range(Stage::exchange, [&] { impl_.exchange(run_); });
  }
  void exchanged() override {
    if (impl_.clock_ != nullptr) impl_.clock_->lap(Stage::exchange);
  }
  void finish() override {
    const Range range = whole();
    impl_.skip_clock();
    impl_.timed(Stage::merge, [&] { impl_.finish(run_); });
    if (impl_.clock_ != nullptr) impl_.clock_->end();
  }
  void abandon() noexcept override {
    if (prepared_) impl_.take_back(run_);
  }

 private:
  [[nodiscard]] Range whole() noexcept { return {impl_.backend(), impl_.name_.c_str()}; }

  Impl& impl_;
  Run run_;
  bool prepared_ = false;
};

void SparseAllreduce::Impl::add_to_open_group(const Run& run) {
  if (run.output.dense == nullptr) {
    throw Error(Result::invalid_usage,
                about(name_) + "sparse(): expected to be called outside of a group, for it waits");
  }
  require_no_call_in_group();
  add_to_group(std::make_unique<GroupedCall>(*this, run));
}

void SparseAllreduce::Impl::require_no_call_in_group() const {
  if (!in_group_) return;
  throw Error(Result::invalid_usage,
              about(name_) +
                  "expected no call of it in a group that is open, found one: end the "
                  "group first");
}

}  // namespace sparccl
