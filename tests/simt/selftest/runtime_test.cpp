// Devices, memory, injected failures, and what is counted.
#include <gtest/gtest.h>
#include <nvtx3/nvToolsExt.h>

#include <cstring>
#include <stdexcept>
#include <thread>

#include "kernels.hpp"

namespace simt::test {
namespace {

using sparccl::cuda::check;
using sparccl::cuda::OwnStream;

class Runtime : public testing::Test {
 protected:
  void SetUp() override { reset(); }
  void TearDown() override {
    reset();
    EXPECT_EQ(live(), Live{});
  }
};

TEST_F(Runtime, DevicesAreOfThreads) {
  int count = 0, device = -1, value = 0;
  check(cudaGetDeviceCount(&count));
  EXPECT_EQ(count, 4);
  check(cudaSetDevice(2));
  std::thread([] {
    int own = -1;
    check(cudaGetDevice(&own));
    EXPECT_EQ(own, 0);
  }).join();
  check(cudaGetDevice(&device));
  EXPECT_EQ(device, 2);
  check(cudaSetDevice(0));
  EXPECT_EQ(cudaSetDevice(4), cudaErrorInvalidDevice);
  EXPECT_EQ(cudaGetLastError(), cudaErrorInvalidDevice);
  EXPECT_EQ(cudaGetLastError(), cudaSuccess);
  check(cudaDeviceGetAttribute(&value, cudaDevAttrMultiProcessorCount, 3));
  const int before = value;
  set_multiprocessors(5);
  check(cudaDeviceGetAttribute(&value, cudaDevAttrMultiProcessorCount, 3));
  EXPECT_EQ(value, 5);
  EXPECT_EQ(histogram_blocks(), 20u);
  set_multiprocessors(before);
  cudaDeviceProp properties{};
  check(cudaGetDeviceProperties(&properties, 1));
  EXPECT_STREQ(properties.name, "stand-in 1");
  EXPECT_STREQ(cudaGetErrorName(cudaErrorNoDevice), "cudaErrorNoDevice");
  set_device_count(1);
  check(cudaGetDeviceCount(&count));
  EXPECT_EQ(count, 1);
  set_device_count(4);
}

TEST_F(Runtime, StreamsBelongToDevices) {
  check(cudaSetDevice(1));
  {
    const OwnStream stream;
    int device = -1;
    check(cudaStreamGetDevice(stream.get(), &device));
    EXPECT_EQ(device, 1);
    check(cudaSetDevice(0));
    const Buffer words(numbers(4));
    EXPECT_THROW(step(words.get(), 4, 1, stream.get()), sparccl::Error);
  }
  EXPECT_EQ(cudaStreamSynchronize(reinterpret_cast<cudaStream_t>(0x77)),
            cudaErrorInvalidResourceHandle);
}

TEST_F(Runtime, PointersTellWhatTheyAre) {
  const Buffer device(4);
  void* pinned = nullptr;
  check(cudaHostAlloc(&pinned, 64, cudaHostAllocMapped | cudaHostAllocPortable));
  std::uint32_t plain[4]{};
  cudaPointerAttributes attributes{};
  check(cudaPointerGetAttributes(&attributes, device.get() + 3));
  EXPECT_EQ(attributes.type, cudaMemoryTypeDevice);
  EXPECT_EQ(attributes.device, 0);
  check(cudaPointerGetAttributes(&attributes, pinned));
  EXPECT_EQ(attributes.type, cudaMemoryTypeHost);
  check(cudaPointerGetAttributes(&attributes, plain));
  EXPECT_EQ(attributes.type, cudaMemoryTypeUnregistered);
  EXPECT_EQ(attributes.devicePointer, nullptr);
  check(cudaHostRegister(plain, sizeof plain, cudaHostRegisterDefault));
  check(cudaPointerGetAttributes(&attributes, plain));
  EXPECT_EQ(attributes.type, cudaMemoryTypeHost);
  check(cudaHostUnregister(plain));
  check(cudaFreeHost(pinned));
  EXPECT_EQ(cudaFreeHost(pinned), cudaErrorInvalidValue);
}

TEST_F(Runtime, KernelsReachPinnedMemory) {
  std::uint32_t* pinned = nullptr;
  check(cudaHostAlloc(&pinned, 32, cudaHostAllocMapped));
  std::memset(pinned, 0, 32);
  step(pinned, 8, 2, nullptr);
  check(cudaDeviceSynchronize());
  EXPECT_EQ(pinned[7], 2u);
  check(cudaFreeHost(pinned));
}

TEST_F(Runtime, CopiesAreChecked) {
  const Buffer words(numbers(4));
  std::uint32_t plain[8]{};
  EXPECT_EQ(cudaMemcpy(words.get(), plain, 17, cudaMemcpyHostToDevice), cudaErrorInvalidValue);
  EXPECT_EQ(cudaMemcpy(words.get(), plain, 4, cudaMemcpyDeviceToHost), cudaErrorInvalidValue);
  EXPECT_EQ(cudaMemset(words.get() + 1, 0, 13), cudaErrorInvalidValue);
  EXPECT_EQ(cudaMemset(plain, 0, 4), cudaErrorInvalidValue);
  EXPECT_EQ(cudaGetLastError(), cudaErrorInvalidValue);
}

TEST_F(Runtime, PageableMemoryIsReadAtOnce) {
  const OwnStream stream;
  const Buffer words(1);
  std::uint32_t value = 5;
  check(cudaMemcpyAsync(words.get(), &value, 4, cudaMemcpyHostToDevice, stream.get()));
  value = 6;
  EXPECT_EQ(words.values()[0], 5u);
}

TEST_F(Runtime, PinnedMemoryIsReadWhenTheStreamComesToIt) {
  const OwnStream stream;
  const Buffer words(1);
  std::uint32_t* value = nullptr;
  check(cudaMallocHost(&value, 4));
  *value = 5;
  check(cudaMemcpyAsync(words.get(), value, 4, cudaMemcpyHostToDevice, stream.get()));
  *value = 6;
  EXPECT_EQ(words.values()[0], 6u);
  check(cudaFreeHost(value));
}

TEST_F(Runtime, TestsMayLookIntoDeviceMemory) {
  const Buffer words(4);
  const auto values = numbers(4);
  EXPECT_FALSE(written(words.get(), 4));
  copy(words.get(), values.data(), 12);
  EXPECT_TRUE(written(words.get(), 12));
  EXPECT_FALSE(written(words.get(), 13));
  EXPECT_EQ(std::memcmp(peek(words.get() + 1, 8), &values[1], 8), 0);
  EXPECT_THROW(static_cast<void>(peek(words.get() + 1, 13)), std::out_of_range);
}

using RuntimeDeathTest = Runtime;
TEST_F(RuntimeDeathTest, HostsMayNotUseDeviceMemory) {
  const Buffer words(numbers(4));
  EXPECT_DEATH(*static_cast<volatile std::uint32_t*>(words.get()) = 1, "");
}

TEST_F(Runtime, AllocationsFailWhenAsked) {
  void* first = nullptr;
  void* second = nullptr;
  fail_device_allocation(2);
  EXPECT_EQ(cudaMalloc(&first, 8), cudaSuccess);
  EXPECT_EQ(cudaMalloc(&second, 8), cudaErrorMemoryAllocation);
  EXPECT_EQ(second, nullptr);
  EXPECT_EQ(cudaMalloc(&second, 8), cudaSuccess);
  EXPECT_EQ(cudaFree(first), cudaSuccess);
  EXPECT_EQ(cudaFree(second), cudaSuccess);
  fail_host_allocation(1);
  EXPECT_EQ(cudaHostAlloc(&first, 8, 0), cudaErrorMemoryAllocation);
  EXPECT_EQ(cudaFree(&first), cudaErrorInvalidValue);
}

TEST_F(Runtime, NoDriver) {
  int count = 0;
  fail_all_calls(cudaErrorInsufficientDriver);
  EXPECT_EQ(cudaGetDeviceCount(&count), cudaErrorInsufficientDriver);
  EXPECT_EQ(cudaDriverGetVersion(&count), cudaSuccess);
  EXPECT_EQ(count, 0);
  EXPECT_THROW(OwnStream(), sparccl::Error);
  fail_all_calls(cudaSuccess);
  EXPECT_EQ(cudaGetDeviceCount(&count), cudaSuccess);
}

TEST_F(Runtime, RangesAreHeardOfTheThreadThatAsks) {
  const nvtxDomainHandle_t domain = nvtxDomainCreateA("d"), other = nvtxDomainCreateA("e");
  const auto push = [](nvtxDomainHandle_t in, const char* name) {
    nvtxEventAttributes_t attributes{};
    attributes.version = NVTX_VERSION;
    attributes.size = NVTX_EVENT_ATTRIB_STRUCT_SIZE;
    attributes.messageType = name == nullptr ? NVTX_MESSAGE_UNKNOWN : NVTX_MESSAGE_TYPE_ASCII;
    attributes.message.ascii = name;
    return nvtxDomainRangePushEx(in, &attributes);
  };
  EXPECT_LT(push(domain, "before"), 0);
  record_ranges();
  EXPECT_EQ(push(domain, "a"), 0);
  EXPECT_EQ(push(domain, "b"), 1);
  std::thread([&] { EXPECT_LT(push(domain, "elsewhere"), 0); }).join();
  EXPECT_EQ(push(other, "c"), 0);
  EXPECT_EQ(nvtxDomainRangePop(other), 0);
  EXPECT_EQ(nvtxDomainRangePop(domain), 1);
  EXPECT_EQ(nvtxDomainRangePop(domain), 0);
  EXPECT_LT(nvtxDomainRangePop(domain), 0);
  EXPECT_LT(push(domain, nullptr), 0);
  EXPECT_EQ(recorded_ranges(), "d:a(b(e:c()))!?(");
  record_ranges();
  EXPECT_EQ(recorded_ranges(), "");
}

TEST_F(Runtime, WhatIsLiveIsCounted) {
  Live expected;
  {
    const OwnStream stream;
    const sparccl::cuda::Event event;
    const Buffer words(3);
    void* pinned = nullptr;
    check(cudaMallocHost(&pinned, 7));
    expected.streams = expected.events = expected.device_allocations = 1;
    expected.device_bytes = 12;
    expected.pinned_allocations = 1;
    expected.pinned_bytes = 7;
    EXPECT_EQ(live(), expected);
    check(cudaFreeHost(pinned));
  }
  EXPECT_EQ(live(), Live{});
}

}  // namespace
}  // namespace simt::test
