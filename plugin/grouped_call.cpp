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
    impl_.collect_stage_times();
    observer().begin(run_.step.stream);
    observer().in_range(Stage::wait, [&] {
      communicator().announce(impl_.call(run_.output.reduction), impl_.roll_, impl_.memory_.step,
                              run_.step.stream);
    });
  }
  void meet() override {
    const Range range = whole();
    observer().in_range(Stage::wait,
                        [&] { communicator().meet(impl_.name_, impl_.roll_, run_.step.stream); });
  }
  void verify() override {
    const Range range = whole();
    observer().timed(Stage::wait,
                     [&] { communicator().verify(impl_.name_, impl_.roll_, run_.step.stream); });
  }
  int exchanges() const noexcept override { return impl_.route_->exchanges(); }
  Transport& transport(int exchange) override { return impl_.route_->transport(exchange); }
  void prepare(int exchange) override {
    const Range range = whole();
    observer().skip();
    prepared_ = true;
    impl_.prepare(exchange, run_);
  }
  void exchange(int exchange) override {
    const Range range = whole();
    observer().skip();
    observer().in_range(Stage::exchange, [&] { impl_.exchange(exchange, run_); });
  }
  void exchanged(int) override { observer().lap(Stage::exchange); }
  void finish() override {
    const Range range = whole();
    observer().skip();
    impl_.finish(run_);
    observer().end();
  }
  void abandon() noexcept override {
    if (prepared_) impl_.take_back(run_);
  }

 private:
  [[nodiscard]] Range whole() noexcept { return observer().call(impl_.name_.c_str()); }
  [[nodiscard]] Observer& observer() noexcept { return impl_.observer_; }

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
  if (route_ == nullptr || (!entered_ && path_ == Path::hierarchical)) {
    throw Error(Result::invalid_usage,
                about(name_) + "path " + name_of(options_.path) +
                    ": expected its first call outside of a group, for ranks have to meet "
                    "one after the other there, found one inside");
  }
  if (!entered_) route_->enter(run.step.stream);  // local, but for those
  entered_ = true;
  Run counted = run;
  add_bytes(counted.step);
  add_to_group(std::make_unique<GroupedCall>(*this, counted));
}

void SparseAllreduce::Impl::require_no_call_in_group() const {
  if (!in_group_) return;
  throw Error(Result::invalid_usage,
              about(name_) +
                  "expected no call of it in a group that is open, found one: end the "
                  "group first");
}

}  // namespace sparccl
