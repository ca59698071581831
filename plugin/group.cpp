#include "group.hpp"

#include <algorithm>
#include <utility>

namespace sparccl {
namespace {

struct ThreadGroup {
  int depth = 0;
  std::vector<std::unique_ptr<PhasedCall>> calls;
};
thread_local ThreadGroup group;

/// One collective phase of those calls: transports are told that theirs belong together.
template <class TransportOf, class Phase>
void together(const std::vector<PhasedCall*>& calls, TransportOf transport_of, Phase phase) {
  std::vector<Transport*> transports;
  for (PhasedCall* call : calls) {
    Transport* const transport = &transport_of(*call);
    if (std::ranges::find(transports, transport) == transports.end()) {
      transports.push_back(transport);
    }
  }
  std::size_t open = 0;
  std::exception_ptr failure;
  const auto attempt = [&](auto part) {
    try {
      part();
    } catch (...) {
      if (failure == nullptr) failure = std::current_exception();
    }
  };
  attempt([&] {
    for (Transport* transport : transports) {
      transport->begin_group();
      ++open;
    }
    for (PhasedCall* call : calls) phase(*call);
  });
  while (open > 0) {  // what was begun is ended, whatever happened
    attempt([&] { transports[--open]->end_group(); });
  }
  if (failure != nullptr) std::rethrow_exception(failure);
}

void fail_all(const std::vector<std::unique_ptr<PhasedCall>>& calls) noexcept {
  for (const auto& call : calls) call->abandon();
  try {
    throw;
  } catch (const Error& error) {
    for (const auto& call : calls) call->communicator().fail(error);
  } catch (...) {
    const Error error(Result::internal_error, "a call of the same group failed");
    for (const auto& call : calls) call->communicator().fail(error);
  }
}

}  // namespace

bool in_group() noexcept { return group.depth > 0; }

void add_to_group(std::unique_ptr<PhasedCall> call) { group.calls.push_back(std::move(call)); }

void withdraw_from_group(const void* owner) noexcept {
  std::erase_if(group.calls, [&](const auto& call) { return call->owner() == owner; });
}

void carry_out(const std::vector<std::unique_ptr<PhasedCall>>& calls) {
  std::vector<PhasedCall*> going;
  for (const auto& call : calls) going.push_back(call.get());
  try {
    for (PhasedCall* call : going) call->announce();
    together(
        going, [](PhasedCall& call) -> Transport& { return call.communicator().transport(); },
        [](PhasedCall& call) { call.meet(); });
    for (PhasedCall* call : going) call->verify();
    for (int i = 0; !going.empty(); ++i) {
      std::erase_if(going, [&](PhasedCall* call) { return call->exchanges() <= i; });
      for (PhasedCall* call : going) call->prepare(i);
      together(
          going, [&](PhasedCall& call) -> Transport& { return call.transport(i); },
          [&](PhasedCall& call) { call.exchange(i); });
      for (PhasedCall* call : going) call->exchanged(i);
    }
    for (const auto& call : calls) call->finish();
  } catch (...) {
    fail_all(calls);
    throw;
  }
}

Group::Group() : calls_before_(group.calls.size()) {
  ++group.depth;
  open_ = true;
}

/// Without end() its calls are forgotten; nothing of them has begun.
Group::~Group() {
  if (!open_) return;
  --group.depth;
  if (group.calls.size() > calls_before_) group.calls.resize(calls_before_);
}

void Group::end() {
  if (!std::exchange(open_, false)) {
    throw Error(Result::invalid_usage, "group: expected an open one, found that it was ended");
  }
  if (--group.depth > 0) return;
  carry_out(std::exchange(group.calls, {}));
}

}  // namespace sparccl
