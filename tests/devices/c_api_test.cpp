// The C API over NCCL: ncclAllReduce's habits, on device memory and streams.
#include <gtest/gtest.h>

#include <sparccl/nccl.h>

#include "cuda/runtime.hpp"
#include "fake_nccl.hpp"
#include "ranks.hpp"
#include "simt.hpp"

namespace sparccl::test {
namespace {

TEST(NcclInC, ReducesInAGroupAndReportsLater) {
  constexpr int ranks = 3;
  constexpr std::size_t count = 500;
  std::vector<ncclComm_t> users(ranks);
  ASSERT_EQ(ncclCommInitAll(users.data(), ranks, nullptr), ncclSuccess);
  std::vector<sparcclComm_t> comms(ranks);
  sparcclConfig_t config = SPARCCL_CONFIG_INITIALIZER;
  config.density = 1.0;
  run_ranks(
      ranks,
      [&](int r) {
        const auto i = static_cast<std::size_t>(r);
        const cuda::DeviceGuard device(r);
        ASSERT_EQ(sparcclCommInitNccl(&comms[i], users[i], &config), sparcclSuccess)
            << sparcclGetLastError(nullptr);
      },
      [] {});
  for (const ncclComm_t comm : users) ASSERT_EQ(ncclCommDestroy(comm), ncclSuccess);

  std::vector<float*> buffers(ranks);
  std::vector<cudaStream_t> streams(ranks);
  for (int r = 0; r < ranks; ++r) {
    const auto i = static_cast<std::size_t>(r);
    const cuda::DeviceGuard device(r);
    void* memory = nullptr;
    cuda::check(cudaMalloc(&memory, count * sizeof(float)));
    cuda::check(cudaStreamCreateWithFlags(&streams[i], cudaStreamNonBlocking));
    const std::vector<float> values(count, static_cast<float>(r + 1));
    cuda::check(cudaMemcpy(memory, values.data(), count * sizeof(float), cudaMemcpyHostToDevice));
    buffers[i] = static_cast<float*>(memory);
  }
  EXPECT_EQ(sparcclGroupEnd(), sparcclInvalidUsage);
  ASSERT_EQ(sparcclGroupStart(), sparcclSuccess);
  for (std::size_t i = 0; i < ranks; ++i) {
    ASSERT_EQ(sparcclAllReduce(buffers[i], buffers[i], count, sparcclFloat, sparcclSum, comms[i],
                               streams[i]),
              sparcclSuccess)
        << sparcclGetLastError(nullptr);
  }
  ASSERT_EQ(sparcclGroupEnd(), sparcclSuccess) << sparcclGetLastError(nullptr);
  run_ranks(
      ranks,
      [&](int r) { cuda::check(cudaStreamSynchronize(streams[static_cast<std::size_t>(r)])); },
      [] {});
  for (std::size_t i = 0; i < ranks; ++i) {
    std::vector<float> result(count);
    const cuda::DeviceGuard device(static_cast<int>(i));
    cuda::check(
        cudaMemcpy(result.data(), buffers[i], count * sizeof(float), cudaMemcpyDeviceToHost));
    EXPECT_EQ(result, std::vector<float>(count, 6.0f));
  }

  sparcclResult_t error = sparcclInternalError;
  EXPECT_EQ(sparcclCommGetAsyncError(comms[0], &error), sparcclSuccess);
  EXPECT_EQ(error, sparcclSuccess);
  EXPECT_EQ(sparcclCommAbort(comms[0]), sparcclSuccess);
  EXPECT_EQ(sparcclCommGetAsyncError(comms[0], &error), sparcclSuccess);
  EXPECT_EQ(error, sparcclAborted);
  EXPECT_NE(std::string(sparcclGetLastError(comms[0])).find("abort"), std::string::npos);
  for (std::size_t i = 0; i < ranks; ++i) {
    EXPECT_EQ(sparcclCommDestroy(comms[i]), sparcclSuccess);
    const cuda::DeviceGuard device(static_cast<int>(i));
    cuda::check(cudaFree(buffers[i]));
    cuda::check(cudaStreamDestroy(streams[i]));
  }
  EXPECT_EQ(fakeNcclLive(), 0u);
  EXPECT_STREQ(fakeNcclMisuse(), "");
}

TEST(NcclInC, RefusesWhatIsNoCommunicator) {
  sparcclComm_t comm = nullptr;
  EXPECT_EQ(sparcclCommInitNccl(&comm, nullptr, nullptr), sparcclInvalidArgument);
  EXPECT_EQ(sparcclCommInitNccl(nullptr, nullptr, nullptr), sparcclInvalidArgument);
}

}  // namespace
}  // namespace sparccl::test
