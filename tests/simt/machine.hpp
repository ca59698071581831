// Devices, streams, events and captures of the stand-in. One lock guards all of it; it is not held
// while a kernel or a host function runs.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "random.hpp"
#include "simt.hpp"

namespace simt::detail {

#if defined(__SANITIZE_THREAD__)
inline constexpr int default_multiprocessors = 1;  // its switches cost by the number of fibers
#else
inline constexpr int default_multiprocessors = 3;
#endif

struct Stream;
struct Capture;
using StreamPointer = std::shared_ptr<Stream>;
using Lock = std::unique_lock<std::mutex>;

/// Runs one piece of work; `seed` orders what has an order inside. Never throws.
using Work = std::function<cudaError_t(std::uint64_t seed)>;

/// Up to where a stream has to come.
struct Ticket {
  StreamPointer stream;
  std::uint64_t number = 0;
};

struct Operation {
  Work work;            // null: waits only
  bool blocks = false;  // a host function, which may wait for other streams
  std::vector<Ticket> after;
};

struct Stream {
  int device = 0;
  unsigned flags = 0;
  bool legacy = false;
  std::uint64_t enqueued = 0;  // operations, since its creation
  std::uint64_t completed = 0;
  std::uint64_t numbered_from = 0;  // for seeds
  std::deque<Operation> queue;      // its front may be running
  bool running = false;
  bool destroyed = false;       // to its user; it still finishes its work
  bool helped = false;          // a thread of the stand-in's own drains it
  std::thread::id last_user{};  // who enqueued last

  // While it is being captured:
  std::shared_ptr<Capture> capture;
  std::vector<std::size_t> frontier;  // nodes that the next one comes after

  [[nodiscard]] bool idle() const { return completed == enqueued; }
};

struct Node {
  Operation operation;
  std::vector<std::size_t> after;
};

struct Capture {
  cudaStreamCaptureMode mode{};
  std::thread::id thread{};
  unsigned long long id = 0;
  StreamPointer origin;
  std::vector<StreamPointer> streams;
  std::vector<Node> nodes;
  bool invalid = false;
  bool ended = false;
};

struct Event {
  int device = 0;
  bool timed = false;
  // Of its last record: a place in a stream, or in a capture.
  Ticket ticket;
  std::shared_ptr<std::chrono::steady_clock::time_point> time;
  std::shared_ptr<Capture> capture;
  std::vector<std::size_t> nodes;
};

struct Device {
  cudaError_t sticky = cudaSuccess;
  StreamPointer legacy;
  std::vector<StreamPointer> streams;  // also destroyed ones, until they are idle
};

class Machine {
 public:
  Machine();

  std::mutex mutex;
  std::condition_variable changed;  // an operation ended
  std::vector<Device> devices;
  std::map<cudaStream_t, StreamPointer> streams;
  std::map<cudaEvent_t, std::shared_ptr<Event>> events;
  std::map<cudaGraph_t, std::shared_ptr<std::vector<Node>>> graphs;
  std::map<cudaGraphExec_t, std::shared_ptr<std::vector<Node>>> executables;
  std::vector<std::shared_ptr<Capture>> captures;  // not ended
  int multiprocessors = default_multiprocessors;
  std::uint64_t seed;
  std::uintptr_t next_handle = 0x1000;
  unsigned long long next_capture = 1;
  cudaError_t fail_all = cudaSuccess;
  std::uint64_t fail_device_allocation = 0, fail_host_allocation = 0;
  std::atomic<std::uint64_t> synchronisations{0};
  std::string last_fault;
  std::map<std::string, Traffic> traffic;

  /// Also numbers each stream's work anew, so that the same calls have the same order again.
  void reseed(std::uint64_t to);

  /// The stream of a handle for the calling thread, or null. Creates the default ones.
  StreamPointer stream(cudaStream_t handle);
  StreamPointer make_stream(int device, unsigned flags);

  /// Appends to the stream, or to the graph that it is captured into.
  cudaError_t enqueue(const StreamPointer& stream, Operation operation);

  /// Runs what is enqueued until the stream has come so far, and waits for what others run of it.
  void drain(Lock& lock, const StreamPointer& stream, std::uint64_t number);
  void drain_device(Lock& lock, int device);
  /// Goes on a little, without blocking: for queries.
  void nudge(Lock& lock, const StreamPointer& stream);

  /// Whether the calling thread may make calls that are unsafe in captures; if not, they are void.
  bool allows_unsafe_calls();

 private:
  void run_front(Lock& lock, const StreamPointer& stream);
  bool may_run(const Stream& stream) const;
  void run_another(Lock& lock, const Stream& than);
  void watch();
  void help(const StreamPointer& stream);
  void help_companions(const Stream& of);
  void help_others();

  std::condition_variable watched_;
  bool watching_ = false;
  std::vector<std::chrono::steady_clock::time_point> blocking_since_;  // host functions that run
  Random random_;
};

Machine& machine();

inline thread_local int present_device = 0;
inline thread_local cudaError_t last_error = cudaSuccess;
inline thread_local bool in_host_function = false;
inline thread_local std::uint64_t own_synchronisations = 0;
inline thread_local cudaStreamCaptureMode thread_mode = cudaStreamCaptureModeGlobal;

cudaError_t run_graph(const std::vector<Node>& nodes, std::uint64_t seed);

}  // namespace simt::detail
