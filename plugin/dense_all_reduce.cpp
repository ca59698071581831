#include "dense_all_reduce.hpp"

#include <string>
#include <utility>

#include "group.hpp"
#include "plan.hpp"

namespace sparccl {
namespace {

constexpr std::string_view name = "dense allreduce";

struct Buffers {
  const void* send;
  void* recv;
  std::size_t count;
  DataType type;
  Reduction reduction;
  Stream stream;
};

Call call_of(const Buffers& buffers) {
  static const HashedName hashed(name);
  return {.kind = Call::Kind::dense_allreduce,
          .name = hashed,
          .count = buffers.count,
          .type = buffers.type,
          .wire = buffers.type,
          .reduction = buffers.reduction};
}

/// One call, apart in its phases: on its own, or one of a group.
class DenseCall final : public PhasedCall {
 public:
  DenseCall(std::shared_ptr<Communicator::Impl> communicator, const Buffers& buffers)
      : communicator_(std::move(communicator)),
        buffers_(buffers),
        roll_(communicator_->spare_roll(buffers.stream)) {}
  ~DenseCall() override { communicator_->give_back(roll_, buffers_.stream); }
  DenseCall(const DenseCall&) = delete;
  DenseCall& operator=(const DenseCall&) = delete;

  Communicator::Impl& communicator() noexcept override { return *communicator_; }
  void announce() override {
    communicator_->announce(call_of(buffers_), roll_, nullptr, buffers_.stream);
  }
  void meet() override { communicator_->meet(name, roll_, buffers_.stream); }
  void verify() override { communicator_->verify(name, roll_, buffers_.stream); }
  void exchange(int) override {
    if (buffers_.count == 0) return;
    communicator_->carry_out(name, [&] {
      communicator_->transport().all_reduce(buffers_.send, buffers_.recv, buffers_.count,
                                            buffers_.type, buffers_.reduction, buffers_.stream);
    });
  }
  void finish() override {}
  void abandon() noexcept override {}

 private:
  std::shared_ptr<Communicator::Impl> communicator_;
  Buffers buffers_;
  Communicator::Impl::Roll& roll_;
};

}  // namespace

void dense_all_reduce(const std::shared_ptr<Communicator::Impl>& communicator, const void* send,
                      void* recv, std::size_t count, DataType type, Reduction reduction,
                      Stream stream) {
  communicator->backend().require_stream(stream);
  communicator->require_usable();
  if (reduction < Reduction::sum || reduction > Reduction::avg) {
    throw Error(Result::invalid_argument, "reduction: expected 0 to 4, found " +
                                              std::to_string(static_cast<std::int32_t>(reduction)));
  }
  const std::size_t size = size_of(type);
  if (count > static_cast<std::size_t>(-1) / 2 / size) {
    throw Error(Result::invalid_argument, "count: " + std::to_string(count) + " entries of " +
                                              name_of(type) + " do not fit the address space");
  }
  if (count != 0) {
    require_buffers(communicator->backend(), send, recv, count * size, count * size, name);
  }
  const Buffers buffers{send, recv, count, type, reduction, stream};
  if (communicator->asynchronous() && in_group()) {
    add_to_group(std::make_unique<DenseCall>(communicator, buffers));
    return;
  }
  DenseCall call(communicator, buffers);
  call.announce();
  call.meet();
  call.verify();
  call.exchange(0);
}

}  // namespace sparccl
