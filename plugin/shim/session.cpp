#include "shim/session.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

#include "communicator.hpp"
#include "shim/greeting.hpp"
#include "sparse_allreduce.hpp"

namespace sparccl::shim {
namespace {

/// How many steps lie between two looks at whether a rank was told to save: looking is collective.
constexpr std::uint64_t steps_between_looks = 16;

constexpr std::uint64_t most_reset_warnings = 10;

constexpr const char* hint = "SPARCCL_MATCH=calls:FIRST-LAST/CALLS_PER_STEP";

std::string slot_name(std::size_t index, std::size_t of) {
  return "allreduce " + std::to_string(index) + " of " + std::to_string(of);
}

}  // namespace

Session::Session(Process& process, Communicator communicator, std::string label,
                 std::string state_stem, Stream stream)
    : process_(process),
      communicator_(std::move(communicator)),
      label_(std::move(label)),
      stream_(stream),
      number_(process.tally().add_communicator()),
      steps_([this](std::uint64_t own) { return exchange_number(own); }),
      requests_seen_(process.save_requests) {
  if (!process_.settings().state_dir.empty()) {
    state_path_ = process_.settings().state_dir / (std::move(state_stem) + ".sparccl");
  }
  greet();
  process_.log().info(label_ + ": rank " + std::to_string(communicator_.rank()) + " of " +
                      std::to_string(communicator_.size()) + " is ready");
  if (by_number()) {
    slots_.resize(process_.settings().match.calls_per_step);
    adopt_saved(saved_.size() == slots_.size());
  }
}

Session::~Session() {
  close();
  for (Slot& slot : slots_) end(slot);
}

void Session::close() noexcept try {
  if (std::exchange(closed_, true)) return;
  count_finished();  // what is still under way may yet fail
  if (state_path_.empty() || communicator_.async_error() != Result::success) return;
  save();
} catch (const std::exception& error) {
  process_.log().warn(label_ + ": " + error.what());
}

void Session::greet() {
  Greeting greeting;
  greeting.problem = open_state();
  greeting.settings = process_.shared();
  greeting.settings.emplace_back("a state file of", saved_fingerprint_);
  const std::vector<std::byte> own = greeting.packed();
  require_agreement(exchange(own.data(), own.size()));
}

/// Every rank's `bytes`, in rank order.
std::vector<std::byte> Session::exchange(const void* own, std::size_t bytes) {
  Communicator::Impl& impl = *communicator_.impl();
  Backend& backend = impl.backend();
  const auto world = static_cast<std::size_t>(communicator_.size());
  const Backend::Buffer slots = backend.allocate(world * bytes);
  auto* const first = static_cast<std::byte*>(slots.get());
  std::vector<std::byte> all(world * bytes);
  impl.carry_out(label_, [&] {
    backend.upload(first + static_cast<std::size_t>(communicator_.rank()) * bytes, own, bytes);
    impl.transport().meet(first, bytes, stream_);
    backend.finish(stream_);
  });
  impl.require_usable();
  backend.download(all.data(), first, all.size());
  return all;
}

std::vector<std::uint64_t> Session::exchange_number(std::uint64_t own) {
  const std::vector<std::byte> bytes = exchange(&own, sizeof(own));
  std::vector<std::uint64_t> numbers(bytes.size() / sizeof(own));
  std::memcpy(numbers.data(), bytes.data(), bytes.size());
  return numbers;
}

std::optional<Reason> Session::reduce(const Request& request) {
  communicator_.impl()->require_usable();
  stream_ = request.stream;
  const Steps::Place place = place_of(request);
  if (place.slot == Steps::no_slot) return place.reason;
  Slot& slot = slot_of(place.slot, request.key);
  if (slot.uses++ < process_.settings().warmup_steps) return Reason::warm_up;
  if (slot.tensor == nullptr) make_tensor(slot, place.slot, slots_.size());
  run(slot, request);
  return std::nullopt;
}

Steps::Place Session::place_of(const Request& request) {
  if (by_number()) {
    const std::uint64_t per_step = process_.settings().match.calls_per_step;
    if (std::exchange(next_step_number_, request.number / per_step) != request.number / per_step) {
      begin_step();
    }
    return {.slot = request.number % per_step};
  }
  const Steps::Place place = steps_.place(request);
  if (steps_.changed()) adopt_step();
  if (steps_.take_puzzled()) {
    process_.log().warn(
        label_ + ": calls of " + show(request.key) +
        " repeat, but not the buffers that they send and receive to, so that nobody "
        "can tell which of them are one tensor's: nothing is sparsified; say it: " +
        hint);
  }
  // A step may begin with a call that is none of ours any more.
  if (place.slot != Steps::no_slot && place.slot <= std::exchange(last_slot_, place.slot)) {
    begin_step();
    if (steps_.keys().empty()) return {};  // learned anew
  }
  return place;
}

/// A step was learned: its tensors go on where earlier ones of the same place stopped.
void Session::adopt_step() {
  const Steps::Change change = steps_.take_change();
  const std::vector<Key>& keys = steps_.keys();
  std::vector<Slot> slots(keys.size());
  for (std::size_t i = 0; i < keys.size(); ++i) {
    if (change.from[i] != Steps::no_slot) slots[i] = std::move(slots_.at(change.from[i]));
    slots[i].key = keys[i];
  }
  for (Slot& slot : slots_) end(slot);
  slots_ = std::move(slots);
  process_.log().info(label_ + ": calls of a step: " + std::to_string(keys.size()) +
                      ", the first of " + show(keys[0]));
  if (change.lost != 0) {
    process_.log().warn(label_ +
                        ": the calls of a step have changed: " + std::to_string(change.lost) +
                        " tensors are reset, what they had not sent yet is lost");
  }
  if (change.repetitions > 1) {
    process_.log().warn(label_ + ": calls of " + show(keys[0]) + " are of " +
                        std::to_string(change.repetitions) +
                        " tensors, as far as their buffers tell; if it is one whose buffers take "
                        "turns, say so: " +
                        hint);
  }
  last_slot_ = Steps::no_slot;
  adopt_saved(!repeats_inside(keys) && std::ranges::equal(keys, saved_, {}, {}, &Slot::key));
}

Session::Slot& Session::slot_of(std::size_t index, const Key& key) {
  Slot& slot = slots_.at(index);
  if (slot.key == key) return slot;
  if (slot.tensor != nullptr) {
    warn_of_reset(slot.tensor->name() + ": was " + show(slot.key) + ", is now " + show(key) +
                  ": reset, what it had not sent yet is lost");
  }
  end(slot);
  slot = Slot{};
  slot.key = key;
  return slot;
}

/// A program whose calls have another count each time would say nothing else.
void Session::warn_of_reset(const std::string& text) {
  if (resets_ < most_reset_warnings) process_.log().warn(label_ + ": " + text);
  if (++resets_ == most_reset_warnings) {
    process_.log().warn(label_ + ": further resets are not told");
  }
}

/// For the times in the table, and for the timeline. Calls of an asynchronous communicator are told
/// of when a later one finds them finished.
void Session::observe(SparseAllreduce& tensor) {
  Timeline* const timeline = process_.timeline(rank_in_job());
  if (timeline == nullptr) {
    tensor.impl().measure_stages();
    return;
  }
  const Timeline::Call call{rank_in_job(), number_, tensor.name()};
  tensor.impl().measure_stages([timeline, call, &impl = tensor.impl()](const StageTimes& times) {
    const Stats stats = impl.stats();
    Timeline::Call told = call;
    told.wire_bytes = stats.step_bytes;
    told.entries = impl.plan().k;
    told.path = name_of(stats.path);
    told.path_reason = stats.path_reason;
    timeline->add(told, times);
  });
}

/// Of a slot's use, from 0: a schedule begins after the dense steps.
double Session::density_of(std::uint64_t use) const noexcept {
  const Settings& settings = process_.settings();
  return settings.density_of(use < settings.warmup_steps ? 0 : use - settings.warmup_steps);
}

void Session::make_tensor(Slot& slot, std::size_t index, std::size_t of) {
  const Settings& settings = process_.settings();
  Options options;
  options.density = slot.density = density_of(slot.uses - 1);
  options.mu = settings.mu;
  if (settings.wire && size_of(*settings.wire) <= size_of(slot.key.type)) {
    options.wire = settings.wire;
  }
  options.reduction = slot.key.reduction;
  options.path = settings.path;
  slot.tensor = std::make_unique<SparseAllreduce>(communicator_, slot_name(index, of),
                                                  slot.key.count, slot.key.type, options);
  slot.number = tensors_++;
  observe(*slot.tensor);
}

/// Every now and then, and at the same steps on every rank: whether one was told to save, and
/// whether one has seen the order of the calls broken.
void Session::begin_step() {
  const bool saves = !state_path_.empty();
  if (!saves && !steps_.must_be_watched()) return;
  if (++begun_ % steps_between_looks != 0) return;
  const std::uint64_t requests = process_.save_requests;
  const bool wanted = saves && std::exchange(requests_seen_, requests) != requests;
  const std::vector<std::uint64_t> ranks =
      exchange_number((wanted ? 1u : 0u) + (steps_.is_shifted() ? 2u : 0u));
  const auto any = [&](std::uint64_t bit) {
    return std::ranges::any_of(ranks, [&](std::uint64_t rank) { return (rank & bit) != 0; });
  };
  if (any(2)) {
    warn_of_reset(
        "a call came with the buffer of another tensor of its size, and what some of them had not "
        "sent yet may have gone to others: what only buffers tell apart is not sparsified any "
        "more; "
        "say it: " +
        std::string(hint));
    steps_.begin_anew();
  } else if (any(1)) {
    save();
  }
}

void Session::run(Slot& slot, const Request& request) {
  SparseAllreduce& tensor = *slot.tensor;
  if (const double density = density_of(slot.uses - 1); density != slot.density) {
    tensor.set_density(density);
    slot.density = density;
  }
  tensor.impl().run(request.send, 1.0, request.stream,
                    Output{.dense = request.recv, .reduction = request.key.reduction});
  count(slot);
  if (process_.settings().path == Path::automatic) tell_path(slot);
}

/// Whenever there is something new to say.
void Session::tell_path(Slot& slot) {
  std::string reason = slot.tensor->stats().path_reason;
  if (reason == slot.path_reason) return;
  process_.log().info(label_ + ": " + slot.tensor->name() + ": path " + reason);
  slot.path_reason = std::move(reason);
}

/// Bytes sent: with what the ranks tell each other of each call before it.
void Session::count(const Slot& slot) {
  Stats stats = slot.tensor->stats();
  stats.wire_bytes += stats.steps * Trouble::descriptor_bytes *
                      static_cast<std::uint64_t>(communicator_.size() - 1);
  process_.tally().sparsified(number_, slot.number,
                              {slot.tensor->name(), slot.key, slot.tensor->k(), stats});
}

void Session::count_finished() {
  if (!communicator_.impl()->asynchronous()) return;
  communicator_.impl()->backend().finish_all();
  for (const Slot& slot : slots_) {
    if (slot.tensor == nullptr) continue;
    slot.tensor->impl().collect_stage_times();
    count(slot);
  }
}

void Session::end(Slot& slot) noexcept {
  if (slot.tensor == nullptr) return;
  try {
    if (communicator_.impl()->asynchronous()) communicator_.impl()->backend().finish_all();
    slot.tensor->impl().collect_stage_times();
    count(slot);
  } catch (...) {  // its last steps are not in the counts
  }
  process_.tally().ended(number_, slot.number);
  slot.tensor.reset();
}

}  // namespace sparccl::shim
