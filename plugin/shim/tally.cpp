#include "shim/tally.hpp"

#include <algorithm>
#include <cstdio>
#include <vector>

#include "observation.hpp"

namespace sparccl::shim {
namespace {

constexpr std::size_t most_tensors = 16;  // in the table; the rest is one line

template <class... Values>
std::string format(const char* form, Values... values) {
  std::array<char, 512> line{};
  std::snprintf(line.data(), line.size(), form, values...);
  return line.data();
}

/// 1,234,567
std::string grouped(std::uint64_t number) {
  const std::string digits = std::to_string(number);
  std::string text;
  for (std::size_t i = 0; i < digits.size(); ++i) {
    if (i != 0 && (digits.size() - i) % 3 == 0) text += ',';
    text += digits[i];
  }
  return text;
}

void add(Stats& sum, const Stats& stats) {
  sum.steps += stats.steps;
  sum.non_finite_steps += stats.non_finite_steps;
  sum.entries += stats.entries;
  sum.wire_bytes += stats.wire_bytes;
  sum.dense_bytes += stats.dense_bytes;
  add(sum.seconds, stats.seconds);
}

std::string line(const char* what, std::uint64_t calls, std::uint64_t sent, std::uint64_t dense) {
  return format("  %-48s %12s %18s %18s\n", what, grouped(calls).c_str(), grouped(sent).c_str(),
                grouped(dense).c_str());
}

std::string times(const Stats& sum) {
  if (sum.steps == 0) return {};
  const double calls = static_cast<double>(sum.steps);
  const auto ms = [&](double seconds) { return 1e3 * seconds / calls; };
  const StageSeconds& s = sum.seconds;
  if (s.total() == 0) return "  time per stage: not measured (calls return before they are done)\n";
  return format(
      "  milliseconds per sparsified call: wait %.3f, accumulate %.3f, select %.3f, pack %.3f, "
      "exchange %.3f, merge %.3f\n",
      ms(s.wait), ms(s.accumulate), ms(s.select), ms(s.pack), ms(s.exchange), ms(s.merge));
}

}  // namespace

std::uint64_t ring_bytes(std::uint64_t tensor_bytes, int world_size) noexcept {
  const auto world = static_cast<std::uint64_t>(std::max(world_size, 1));
  return 2 * (world - 1) * (tensor_bytes / world) +
         2 * (world - 1) * (tensor_bytes % world) / world;
}

std::uint64_t Tally::add_communicator() {
  const std::lock_guard lock(mutex_);
  return communicators_++;
}

void Tally::passed(Reason reason, std::uint64_t dense_bytes) noexcept {
  const std::lock_guard lock(mutex_);
  Passed& passed = passed_[static_cast<std::size_t>(reason)];
  ++passed.calls;
  passed.bytes += dense_bytes;
}

void Tally::failed() noexcept {
  const std::lock_guard lock(mutex_);
  ++failed_;
}

void Tally::sparsified(std::uint64_t communicator, std::uint64_t tensor, TensorTally tally) {
  const std::lock_guard lock(mutex_);
  tensors_[{communicator, tensor}] = std::move(tally);
}

void Tally::ended(std::uint64_t communicator, std::uint64_t tensor) noexcept {
  const std::lock_guard lock(mutex_);
  const auto found = tensors_.find({communicator, tensor});
  if (found == tensors_.end() || tensors_.size() <= most_tensors) return;
  add(gone_, found->second.stats);
  tensors_.erase(found);
}

std::uint64_t Tally::counted() const noexcept {
  std::uint64_t calls = failed_ + gone_.steps;
  for (const Passed& passed : passed_) calls += passed.calls;
  for (const auto& [id, tensor] : tensors_) calls += tensor.stats.steps;
  return calls;
}

std::uint64_t Tally::calls() const noexcept {
  const std::lock_guard lock(mutex_);
  return counted();
}

std::string Tally::table(std::string_view whose) const {
  const std::lock_guard lock(mutex_);
  Stats sum = gone_;
  for (const auto& [id, tensor] : tensors_) add(sum, tensor.stats);
  std::uint64_t passed_bytes = 0;
  for (const Passed& passed : passed_) passed_bytes += passed.bytes;

  std::string text = format("sparccl: %s\n", std::string(whose).c_str());
  text += format("  %-48s %12s %18s %18s\n", "allreduce", "calls", "bytes sent", "bytes if dense");
  text += line("sparsified", sum.steps, sum.wire_bytes, sum.dense_bytes);
  for (std::size_t i = 0; i < reasons; ++i) {
    if (passed_[i].calls == 0) continue;
    const std::string what = std::string("passed: ") + text_of(static_cast<Reason>(i));
    text += line(what.c_str(), passed_[i].calls, passed_[i].bytes, passed_[i].bytes);
  }
  if (failed_ != 0) text += line("failed", failed_, 0, 0);
  text += line("all", counted(), sum.wire_bytes + passed_bytes, sum.dense_bytes + passed_bytes);
  if (sum.steps == 0) {
    text += counted() == 0
                ? "  no allreduce was called where this shim could see it\n"
                : "  no call was sparsified; SPARCCL_DEBUG=TRACE says of each call why\n";
    return text;
  }
  if (sum.non_finite_steps != 0) {
    text += format("  calls with a NaN or an Inf in some rank's gradient: %s\n",
                   grouped(sum.non_finite_steps).c_str());
  }
  text += times(sum);
  std::size_t shown = 0;
  for (const auto& [id, tensor] : tensors_) {
    if (++shown > most_tensors) {
      text += format("  and %zu tensors more\n", tensors_.size() - most_tensors);
      break;
    }
    text += format("  communicator %s, %s: %s, k %s, %s calls\n", std::to_string(id.first).c_str(),
                   tensor.name.c_str(), show(tensor.key).c_str(), grouped(tensor.k).c_str(),
                   grouped(tensor.stats.steps).c_str());
  }
  return text;
}

}  // namespace sparccl::shim
