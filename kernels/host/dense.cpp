// Path::dense: everything is sent, the residual with it.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "host/host_stages.hpp"
#include "host/workspace.hpp"
#include "visit.hpp"

namespace sparccl::host {
namespace {

/// What travels of a sum: as in a packet, but that a NaN or Inf stays one.
template <class T, class A>
T sent_of(A a) {
  return is_finite(a) ? to_wire<T>(a) : Convert<T>::from(a);
}

/// Returns how many entries were sent but for their rounding: not those beyond T's largest number.
template <class T>
std::size_t keep_rest(const Plan& plan, const Step& step, const Memory& memory) {
  using A = Accumulator<T>;
  const auto* gradient = static_cast<const T*>(step.gradient);
  auto* residual = static_cast<A*>(memory.residual);
  const auto scale = static_cast<A>(step.scale);
  constexpr double largest = Convert<T>::max;
  std::size_t sent = 0;
  for (std::size_t i = 0; i < plan.count; ++i) {
    const A a = accumulate_dense(residual[i], scale, static_cast<A>(Convert<T>::up(gradient[i])));
    residual[i] = a - static_cast<A>(Convert<T>::up(sent_of<T>(a)));
    sent += static_cast<double>(std::abs(a)) <= largest ? 1 : 0;
  }
  return sent;
}

template <class T>
bool all_finite(const T* values, std::size_t count) {
  bool bad = false;
  for (std::size_t i = 0; i < count; ++i) bad |= !is_finite(Convert<T>::up(values[i]));
  return !bad;
}

}  // namespace

void prepare_dense(const Plan& plan, const Step& step, const Memory& memory, void* send) {
  visit_floating(plan.type, [&]<class T>(Tag<T>) {
    using A = Accumulator<T>;
    const auto* gradient = static_cast<const T*>(step.gradient);
    const auto* residual = static_cast<const A*>(memory.residual);
    const auto scale = static_cast<A>(step.scale);
    auto* out = static_cast<T*>(send);
    for (std::size_t i = 0; i < plan.count; ++i) {
      out[i] = sent_of<T>(
          accumulate_dense(residual[i], scale, static_cast<A>(Convert<T>::up(gradient[i]))));
    }
  });
}

void conclude_dense(const Plan& plan, const Step& step, const Memory& memory, void* workspace,
                    const void* sum, const Output& output) {
  *static_cast<WorkspaceHeader*>(workspace) = {};
  const bool finite = visit_floating(plan.type, [&]<class T>(Tag<T>) {
    return all_finite(static_cast<const T*>(sum), plan.count);
  });
  if (!finite) {
    std::memcpy(output.dense, sum, plan.count * size_of(plan.type));
    conclude(step, memory, workspace, {Verdict::Kind::non_finite}, 0);
    ++*memory.step;  // as count_dense(), which another rank may have taken, and knows no verdict
    return;
  }
  const std::size_t sent = visit_floating(plan.type, [&]<class T>(Tag<T>) {
    const std::size_t kept = keep_rest<T>(plan, step, memory);  // before the result: it may alias
    std::copy_n(static_cast<const T*>(sum), plan.count, static_cast<T*>(output.dense));
    return kept;
  });
  std::fill_n(memory.sent_per_block, plan.blocks(), 0u);
  conclude(step, memory, workspace, {Verdict::Kind::sum}, sent);
}

}  // namespace sparccl::host
