#include "machine.hpp"

#include <algorithm>
#include <cstdlib>

#include "grid.hpp"

namespace simt::detail {

namespace {
// How long a host function may run before other streams move on without their hosts' help.
constexpr std::chrono::milliseconds patience{2};

std::uint64_t seed_from_environment() {
  const char* const text = std::getenv("SPARCCL_SIMT_SEED");  // NOLINT(concurrency-mt-unsafe)
  return text == nullptr ? 1 : std::strtoull(text, nullptr, 10);
}
}  // namespace

Machine::Machine() : devices(4), seed(seed_from_environment()), random_(seed) {}

Machine& machine() {
  static auto* const one = new Machine;  // threads may outlive static objects
  return *one;
}

void Machine::reseed(std::uint64_t to) {
  seed = to;
  random_ = Random(to);
  for (const Device& device : devices)
    for (const StreamPointer& stream : device.streams) stream->numbered_from = stream->completed;
}

StreamPointer Machine::make_stream(int device, unsigned flags) {
  auto made = std::make_shared<Stream>();
  made->device = device;
  made->flags = flags;
  devices[static_cast<std::size_t>(device)].streams.push_back(made);
  return made;
}

StreamPointer Machine::stream(cudaStream_t handle) {
  Device& device = devices[static_cast<std::size_t>(present_device)];
  if (handle == nullptr || handle == cudaStreamLegacy) {
    if (device.legacy == nullptr) {
      device.legacy = make_stream(present_device, cudaStreamDefault);
      device.legacy->legacy = true;
    }
    return device.legacy;
  }
  if (handle == cudaStreamPerThread) {
    thread_local std::map<int, StreamPointer> own;
    StreamPointer& mine = own[present_device];
    if (mine == nullptr) mine = make_stream(present_device, cudaStreamDefault);
    return mine;
  }
  const auto found = streams.find(handle);
  return found == streams.end() ? nullptr : found->second;
}

cudaError_t Machine::enqueue(const StreamPointer& stream, Operation operation) {
  Device& device = devices[static_cast<std::size_t>(stream->device)];
  if (stream->capture != nullptr) {
    Capture& capture = *stream->capture;
    if (capture.invalid) return cudaErrorStreamCaptureInvalidated;
    capture.nodes.push_back({std::move(operation), stream->frontier});
    stream->frontier = {capture.nodes.size() - 1};
    return cudaSuccess;
  }
  // The legacy default stream and the blocking ones wait for each other.
  const auto wait_for = [&](const StreamPointer& other) {
    if (other != stream && !other->idle()) operation.after.push_back({other, other->enqueued});
  };
  if (stream->legacy) {
    for (const StreamPointer& other : device.streams) {
      if ((other->flags & cudaStreamNonBlocking) != 0) continue;
      if (other->capture != nullptr) {
        other->capture->invalid = true;
        return cudaErrorStreamCaptureImplicit;
      }
      wait_for(other);
    }
  } else if ((stream->flags & cudaStreamNonBlocking) == 0 && device.legacy != nullptr) {
    wait_for(device.legacy);
  }
  stream->queue.push_back(std::move(operation));
  ++stream->enqueued;
  stream->last_user = std::this_thread::get_id();
  return cudaSuccess;
}

bool Machine::may_run(const Stream& stream) const {
  if (stream.running || stream.queue.empty()) return false;
  for (const Ticket& each : stream.queue.front().after) {
    if (each.stream->completed < each.number) return false;
  }
  return true;
}

void Machine::run_front(Lock& lock, const StreamPointer& stream) {
  Operation operation = std::move(stream->queue.front());
  stream->running = true;
  Device* device = &devices[static_cast<std::size_t>(stream->device)];
  if (operation.work && device->sticky == cudaSuccess) {
    const std::uint64_t work_seed =
        seed == 0 ? 0 : mix(seed, stream->completed - stream->numbered_from) | 1;
    const auto now = std::chrono::steady_clock::now();
    if (operation.blocks) {
      blocking_since_.push_back(now);
      help_companions(*stream);
      if (!watching_) {
        watching_ = true;
        std::thread([this] { watch(); }).detach();
      }
      watched_.notify_one();
    }
    lock.unlock();
    const cudaError_t error = operation.work(work_seed);
    operation.work = nullptr;
    lock.lock();
    if (operation.blocks) {
      const auto mine = std::find(blocking_since_.begin(), blocking_since_.end(), now);
      if (mine != blocking_since_.end()) blocking_since_.erase(mine);
    }
    device = &devices[static_cast<std::size_t>(stream->device)];
    if (error != cudaSuccess && device->sticky == cudaSuccess) device->sticky = error;
  }
  stream->queue.pop_front();
  ++stream->completed;
  stream->running = false;
  if (stream->idle() && stream->destroyed) std::erase(device->streams, stream);
  changed.notify_all();
}

void Machine::drain(Lock& lock, const StreamPointer& stream, std::uint64_t number) {
  while (stream->completed < number) {
    if (stream->running) {
      changed.wait(lock);
      continue;
    }
    const Ticket* missing = nullptr;
    for (const Ticket& each : stream->queue.front().after)
      if (each.stream->completed < each.number) missing = &each;
    if (missing != nullptr) {
      const Ticket before = *missing;
      drain(lock, before.stream, before.number);
      continue;
    }
    if (seed != 0 && random_.below(4) == 0) {
      run_another(lock, *stream);
      if (!may_run(*stream)) continue;
    }
    run_front(lock, stream);
  }
}

/// Another stream of the device gets ahead, as it might on a GPU.
void Machine::run_another(Lock& lock, const Stream& than) {
  const auto& all = devices[static_cast<std::size_t>(than.device)].streams;
  const StreamPointer other = all[random_.below(all.size())];
  if (other.get() != &than && may_run(*other) && !other->queue.front().blocks)
    run_front(lock, other);
}

void Machine::drain_device(Lock& lock, int device) {
  auto all = devices[static_cast<std::size_t>(device)].streams;
  std::vector<Ticket> tickets;
  for (const StreamPointer& each : all) tickets.push_back({each, each->enqueued});
  all.clear();
  if (seed != 0) random_.shuffle(tickets);
  for (const Ticket& each : tickets) drain(lock, each.stream, each.number);
}

void Machine::nudge(Lock& lock, const StreamPointer& stream) {
  if (stream->idle() || stream->running) return;
  for (const Ticket& each : stream->queue.front().after) {
    if (each.stream->completed < each.number) {
      const StreamPointer before = each.stream;
      nudge(lock, before);
      return;
    }
  }
  if (stream->queue.front().blocks)
    help(stream);
  else
    run_front(lock, stream);
}

/// Drains a stream on a thread of its own.
void Machine::help(const StreamPointer& stream) {
  if (stream->helped || stream->idle()) return;
  stream->helped = true;
  std::thread([this, stream] {
    Lock lock(mutex);
    drain(lock, stream, stream->enqueued);
    stream->helped = false;
  }).detach();
}

/// The host functions of one thread's streams, say of several ranks that it drives, run at once.
void Machine::help_companions(const Stream& of) {
  const auto blocks = [](const Operation& each) { return each.blocks; };
  for (const Device& device : devices) {
    for (const StreamPointer& stream : device.streams) {
      if (stream.get() != &of && !stream->running && stream->last_user == of.last_user &&
          std::any_of(stream->queue.begin(), stream->queue.end(), blocks))
        help(stream);
    }
  }
}

void Machine::help_others() {
  for (const Device& device : devices)
    for (const StreamPointer& stream : device.streams)
      if (!stream->running) help(stream);
}

/// A host function may wait for one of another stream, as kernels of NCCL do: on a GPU that one
/// runs meanwhile, whatever the host does.
void Machine::watch() {
  Lock lock(mutex);
  for (;;) {
    watched_.wait(lock, [this] { return !blocking_since_.empty(); });
    watched_.wait_for(lock, patience, [this] { return blocking_since_.empty(); });
    const auto late = std::chrono::steady_clock::now() - patience;
    if (!blocking_since_.empty() && blocking_since_.front() <= late) help_others();
  }
}

bool Machine::allows_unsafe_calls() {
  if (thread_mode == cudaStreamCaptureModeRelaxed) return true;
  bool allowed = true;
  for (const auto& each : captures) {
    const bool own = each->thread == std::this_thread::get_id();
    const bool forbids = own ? each->mode != cudaStreamCaptureModeRelaxed
                             : each->mode == cudaStreamCaptureModeGlobal &&
                                   thread_mode == cudaStreamCaptureModeGlobal;
    if (forbids) {
      each->invalid = true;
      allowed = false;
    }
  }
  return allowed;
}

cudaError_t run_graph(const std::vector<Node>& nodes, std::uint64_t seed) {
  Random random(seed);
  std::vector<std::size_t> waiting(nodes.size());
  std::vector<std::size_t> ready;
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    waiting[i] = nodes[i].after.size();
    if (waiting[i] == 0) ready.push_back(i);
  }
  while (!ready.empty()) {
    const std::size_t pick = seed == 0 ? 0 : random.below(ready.size());
    const std::size_t node = ready[pick];
    ready.erase(ready.begin() + static_cast<std::ptrdiff_t>(pick));
    if (nodes[node].operation.work) {
      const cudaError_t error = nodes[node].operation.work(seed == 0 ? 0 : mix(seed, node) | 1);
      if (error != cudaSuccess) return error;
    }
    for (std::size_t later = node + 1; later < nodes.size(); ++later)
      for (const std::size_t before : nodes[later].after)
        if (before == node && --waiting[later] == 0) ready.push_back(later);
  }
  return cudaSuccess;
}

void record_fault(const std::string& text) {
  const std::scoped_lock lock(machine().mutex);
  machine().last_fault = text;
}

void record_traffic(const std::string& kernel, const Traffic& traffic) {
  const std::scoped_lock lock(machine().mutex);
  Traffic& sum = machine().traffic[kernel];
  sum.launches += traffic.launches;
  sum.loads += traffic.loads;
  sum.loaded_bytes += traffic.loaded_bytes;
  sum.stores += traffic.stores;
  sum.stored_bytes += traffic.stored_bytes;
  sum.atomics += traffic.atomics;
  sum.warp_operations += traffic.warp_operations;
  sum.barriers += traffic.barriers;
}

}  // namespace simt::detail
