// The ranks that sparccl_plan measures on.
#pragma once

#include <functional>

#include <sparccl/sparccl.hpp>

namespace sparccl::bench {

using OnRank = std::function<void(const Communicator&)>;

/// Threads of this process, tensors in host memory or on the CUDA device. Rethrows the first
/// failure.
void on_threads(int ranks, bool cuda, const CommunicatorOptions& options, const OnRank& work);

/// This process as a rank of MPI_COMM_WORLD.
extern const bool have_mpi;
class MpiProcess {
 public:
  MpiProcess(int* argc, char*** argv);
  ~MpiProcess();
  MpiProcess(const MpiProcess&) = delete;
  MpiProcess& operator=(const MpiProcess&) = delete;
  [[nodiscard]] Communicator communicator(const CommunicatorOptions& options) const;
  /// Ends all processes; for failures of one.
  [[noreturn]] static void abort(int status);
};

/// The same ranks, with tensors on the CUDA device. Throws UsageError where this was built without
/// CUDA, or there is no device.
[[nodiscard]] Communicator on_device(const Communicator& host);

}  // namespace sparccl::bench
