// Ranks that are the GPUs of this machine, each driven by a thread, over NCCL.
#include <cuda_runtime.h>
#include <nccl.h>

#include <string>

#include <sparccl/nccl.hpp>

#include "build.hpp"
#include "cuda/runtime.hpp"
#include "threads.hpp"

namespace sparccl::perf {
namespace build {
const bool has_nccl = true;
const char* const how_to_get_nccl = "";
}  // namespace build

namespace {

void check(ncclResult_t code) {
  if (code != ncclSuccess) {
    throw Error(Result::system_error, std::string("NCCL: ") + ncclGetErrorString(code));
  }
}

class NcclRanks final : public ThreadRanks {
 public:
  NcclRanks(int rank, int size, std::shared_ptr<Meeting> meeting)
      : ThreadRanks(rank, size, std::move(meeting)) {
    ncclUniqueId mine{};
    if (rank == 0) check(ncclGetUniqueId(&mine));
    cuda::check(cudaSetDevice(rank));
    check(ncclCommInitRank(&communicator_, size, gather(mine)[0], rank));
  }
  ~NcclRanks() override { static_cast<void>(ncclCommDestroy(communicator_)); }
  NcclRanks(const NcclRanks&) = delete;
  NcclRanks& operator=(const NcclRanks&) = delete;

  [[nodiscard]] Communicator communicator(const CommunicatorOptions& options) override {
    return nccl_communicator(communicator_, options);
  }

 private:
  ncclComm_t communicator_ = nullptr;
};

}  // namespace

int run_nccl(int size, const Body& body) {
  return run_threads_of(
      size,
      [size](int rank, std::shared_ptr<Meeting> meeting) {
        return std::make_unique<NcclRanks>(rank, size, std::move(meeting));
      },
      body);
}

}  // namespace sparccl::perf
