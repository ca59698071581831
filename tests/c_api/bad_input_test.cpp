// Arguments that are wrong: the code, and a sentence that says what was expected and what was
// found.
#include <cmath>
#include <cstdint>
#include <limits>

#include "ranks_of_c.hpp"

namespace sparccl::test {
namespace {

constexpr double nan = std::numeric_limits<double>::quiet_NaN();
constexpr double infinity = std::numeric_limits<double>::infinity();

template <class Handle>
Handle garbage() {
  return reinterpret_cast<Handle>(std::uintptr_t{0xdeadbeef});
}

sparcclConfig_t config_with(const std::function<void(sparcclConfig_t&)>& change) {
  sparcclConfig_t config = SPARCCL_CONFIG_INITIALIZER;
  change(config);
  return config;
}

/// Both ways in refuse it, and the handle is not touched.
void expect_refused(const sparcclConfig_t& config, const std::string& part) {
  sparcclComm_t comm = nullptr;
  expect_failure(sparcclCommInitAll(&comm, 1, &config), sparcclInvalidArgument, part);
  EXPECT_EQ(comm, nullptr);
  const Ranks one(1);
  sparcclTensor_t tensor = nullptr;
  expect_failure(sparcclTensorCreate(one.comms[0], "t", 100, sparcclFloat32, &config, &tensor),
                 sparcclInvalidArgument, part);
  EXPECT_EQ(tensor, nullptr);
}

TEST(BadConfig, OfAnotherSizeMagicOrVersion) {
  const std::string size = std::to_string(sizeof(sparcclConfig_t));
  expect_refused(config_with([](auto& c) { c.size = 0; }), "config.size: expected " + size);
  expect_refused(config_with([](auto& c) { c.size += 8; }), "found 80");
  expect_refused(config_with([](auto& c) { c.magic = 0; }),
                 "config.magic: expected 0x7370636c, found 0x0");
  expect_refused(config_with([](auto& c) { c.version = 300; }),
                 "config.version: expected 0.1.x, found 0.3.0");
  expect_refused(config_with([](auto& c) { c.version += 10'000; }), "found 1.1.0");
  expect_refused(sparcclConfig_t{}, "SPARCCL_CONFIG_INITIALIZER");
}

TEST(BadConfig, OfALaterPatchIsGood) {
  const sparcclConfig_t config = config_with([](auto& c) { c.version += 7; });
  const Ranks one(1, config);
}

TEST(BadConfig, Density) {
  for (const double density : {0.0, 1.5, -0.1, nan, infinity}) {
    expect_refused(config_with([&](auto& c) { c.density = density; }),
                   "config.density: expected a number in (0, 1], found ");
  }
  const sparcclConfig_t overridden = config_with([](auto& c) {
    c.density = 0.0;
    c.k = 3;
  });
  const Ranks one(1, overridden);
}

TEST(BadConfig, Mu) {
  for (const double mu : {-1.0, nan, infinity}) {
    expect_refused(config_with([&](auto& c) { c.mu = mu; }), "config.mu: expected ");
  }
}

TEST(BadConfig, Enumerations) {
  expect_refused(config_with([](auto& c) { c.distortion = 2; }), "config.distortion: expected ");
  expect_refused(config_with([](auto& c) { c.nonFinite = -1; }), "config.nonFinite: expected ");
  for (const int wire : {-2, 0, 2, 10}) {
    expect_refused(config_with([&](auto& c) { c.wire = wire; }), "config.wire: expected ");
  }
  for (const int path : {-1, 5}) {
    expect_refused(config_with([&](auto& c) { c.path = path; }), "config.path: expected ");
  }
  expect_refused(config_with([](auto& c) { c.ranksPerNode = -1; }),
                 "config.ranksPerNode: expected 0 or more, found -1");
  expect_refused(config_with([](auto& c) { c.reserved = 1; }),
                 "config.reserved: expected 0, found 1");
}

TEST(BadArgument, NullPointers) {
  const Ranks one(1);
  const sparcclComm_t comm = one.comms[0];
  sparcclTensor_t tensor = nullptr;
  float x = 0;
  constexpr sparcclResult_t code = sparcclInvalidArgument;
  expect_failure(sparcclGetVersion(nullptr), code, "version: ");
  expect_failure(sparcclCommInitAll(nullptr, 2, nullptr), code, "comms: ");
  expect_failure(sparcclCommCount(comm, nullptr), code, "count: ");
  expect_failure(sparcclCommUserRank(comm, nullptr), code, "rank: ");
  expect_failure(sparcclCommGetAsyncError(comm, nullptr), code, "asyncError: ");
  expect_failure(sparcclAllReduce(nullptr, &x, 1, sparcclFloat32, sparcclSum, comm, nullptr), code,
                 "sendbuff: expected a pointer, found NULL");
  expect_failure(sparcclAllReduce(&x, nullptr, 1, sparcclInt32, sparcclSum, comm, nullptr), code,
                 "recvbuff: ");
  expect_failure(sparcclTensorCreate(comm, nullptr, 1, sparcclFloat32, nullptr, &tensor), code,
                 "name: ");
  expect_failure(sparcclTensorCreate(comm, "t", 1, sparcclFloat32, nullptr, nullptr), code,
                 "tensor: ");
  ASSERT_EQ(sparcclTensorCreate(comm, "t", 1, sparcclFloat32, nullptr, &tensor), sparcclSuccess);
  expect_failure(sparcclTensorAllReduce(tensor, nullptr, &x, sparcclSum, 1.0, nullptr), code,
                 "sendbuff: ");
  expect_failure(sparcclTensorAllReduce(tensor, &x, nullptr, sparcclSum, 1.0, nullptr), code,
                 "recvbuff: ");
  expect_failure(sparcclTensorSave(tensor, nullptr), code, "path: ");
  expect_failure(sparcclTensorLoad(tensor, nullptr), code, "path: ");
  EXPECT_EQ(sparcclTensorDestroy(tensor), sparcclSuccess);
}

void expect_comm_refused(sparcclComm_t comm, sparcclResult_t code, const std::string& part) {
  int number = -7;
  float x = 0;
  sparcclResult_t state = sparcclSuccess;
  sparcclTensor_t tensor = nullptr;
  expect_failure(sparcclCommCount(comm, &number), code, part);
  expect_failure(sparcclCommUserRank(comm, &number), code, part);
  expect_failure(sparcclCommGetAsyncError(comm, &state), code, part);
  expect_failure(sparcclCommAbort(comm), code, part);
  expect_failure(sparcclCommDestroy(comm), code, part);
  expect_failure(sparcclAllReduce(&x, &x, 1, sparcclFloat32, sparcclSum, comm, nullptr), code,
                 part);
  expect_failure(sparcclTensorCreate(comm, "t", 1, sparcclFloat32, nullptr, &tensor), code, part);
  EXPECT_EQ(number, -7);
}

void expect_tensor_refused(sparcclTensor_t tensor, sparcclResult_t code, const std::string& part) {
  float x = 0;
  expect_failure(sparcclTensorAllReduce(tensor, &x, &x, sparcclSum, 1.0, nullptr), code, part);
  expect_failure(sparcclTensorSetDensity(tensor, 0.5), code, part);
  expect_failure(sparcclTensorSave(tensor, "never.state"), code, part);
  expect_failure(sparcclTensorLoad(tensor, "never.state"), code, part);
}

TEST(BadHandle, NullOrGarbageOrOfTheOtherKind) {
  const Ranks one(1);
  sparcclTensor_t tensor = nullptr;
  ASSERT_EQ(sparcclTensorCreate(one.comms[0], "t", 1, sparcclFloat32, nullptr, &tensor),
            sparcclSuccess);
  const auto as_comm = reinterpret_cast<sparcclComm_t>(tensor);
  const auto as_tensor = reinterpret_cast<sparcclTensor_t>(one.comms[0]);
  const std::string not_ours = "expected a handle that this library gave out, found ";
  expect_comm_refused(nullptr, sparcclInvalidArgument, "comm: expected a pointer, found NULL");
  expect_comm_refused(garbage<sparcclComm_t>(), sparcclInvalidArgument, "comm: " + not_ours);
  expect_comm_refused(as_comm, sparcclInvalidArgument, "comm: " + not_ours);
  expect_tensor_refused(nullptr, sparcclInvalidArgument, "tensor: expected a pointer, found NULL");
  expect_tensor_refused(garbage<sparcclTensor_t>(), sparcclInvalidArgument, "tensor: " + not_ours);
  expect_tensor_refused(as_tensor, sparcclInvalidArgument, "tensor: " + not_ours);
  expect_failure(sparcclTensorDestroy(as_tensor), sparcclInvalidArgument, not_ours);
  EXPECT_EQ(sparcclTensorDestroy(tensor), sparcclSuccess);
}

TEST(BadHandle, Destroyed) {
  sparcclComm_t comm = nullptr;
  ASSERT_EQ(sparcclCommInitAll(&comm, 1, nullptr), sparcclSuccess);
  sparcclTensor_t first = nullptr;
  sparcclTensor_t second = nullptr;
  ASSERT_EQ(sparcclTensorCreate(comm, "t", 1, sparcclFloat32, nullptr, &first), sparcclSuccess);
  ASSERT_EQ(sparcclTensorCreate(comm, "u", 1, sparcclFloat32, nullptr, &second), sparcclSuccess);
  ASSERT_EQ(sparcclTensorDestroy(first), sparcclSuccess);
  const std::string destroyed = ": expected a live handle, found one that was destroyed";
  expect_tensor_refused(first, sparcclInvalidUsage, "tensor" + destroyed);
  expect_failure(sparcclTensorDestroy(first), sparcclInvalidUsage, "tensor" + destroyed);

  ASSERT_EQ(sparcclCommDestroy(comm), sparcclSuccess);
  expect_comm_refused(comm, sparcclInvalidUsage, "comm" + destroyed);
  expect_tensor_refused(second, sparcclInvalidUsage,
                        "tensor: expected its communicator to be alive");
  EXPECT_EQ(sparcclTensorDestroy(second), sparcclSuccess);
  expect_failure(sparcclTensorDestroy(second), sparcclInvalidUsage, "tensor" + destroyed);
}

TEST(BadArgument, NumberOfRanks) {
  sparcclComm_t comm = nullptr;
  for (const int ranks : {0, -1}) {
    expect_failure(sparcclCommInitAll(&comm, ranks, nullptr), sparcclInvalidArgument,
                   "found " + std::to_string(ranks));
  }
}

TEST(BadArgument, TypeAndReduction) {
  const Ranks one(1);
  float x[4] = {};
  sparcclTensor_t tensor = nullptr;
  for (const int type : {-1, 10, 99}) {
    const auto bad = any_int<sparcclDataType_t>(type);
    const std::string part = "datatype: expected 0 (int8) to 9 (bfloat16), found ";
    expect_failure(sparcclAllReduce(x, x, 1, bad, sparcclSum, one.comms[0], nullptr),
                   sparcclInvalidArgument, part + std::to_string(type));
    expect_failure(sparcclTensorCreate(one.comms[0], "t", 1, bad, nullptr, &tensor),
                   sparcclInvalidArgument, part + std::to_string(type));
  }
  ASSERT_EQ(sparcclTensorCreate(one.comms[0], "t", 1, sparcclFloat32, nullptr, &tensor),
            sparcclSuccess);
  for (const int op : {-1, 5, 99}) {
    const auto bad = any_int<sparcclRedOp_t>(op);
    const std::string part = "op: expected 0 (sum) to 4 (avg), found " + std::to_string(op);
    expect_failure(sparcclAllReduce(x, x, 1, sparcclFloat32, bad, one.comms[0], nullptr),
                   sparcclInvalidArgument, part);
    expect_failure(sparcclTensorAllReduce(tensor, x, x, bad, 1.0, nullptr), sparcclInvalidArgument,
                   part);
  }
  EXPECT_EQ(sparcclTensorDestroy(tensor), sparcclSuccess);
}

TEST(BadArgument, TensorOfIntegersOrOfNothing) {
  const Ranks one(1);
  sparcclTensor_t tensor = nullptr;
  expect_failure(sparcclTensorCreate(one.comms[0], "w", 8, sparcclInt32, nullptr, &tensor),
                 sparcclInvalidArgument, "w");
  expect_failure(sparcclTensorCreate(one.comms[0], "w", 0, sparcclFloat32, nullptr, &tensor),
                 sparcclInvalidArgument, "w");
  const sparcclConfig_t too_many = config_with([](auto& c) { c.k = 9; });
  expect_failure(sparcclTensorCreate(one.comms[0], "w", 8, sparcclFloat32, &too_many, &tensor),
                 sparcclInvalidArgument, "9");
  EXPECT_EQ(tensor, nullptr);
}

TEST(BadArgument, BuffersThatOverlapByAPart) {
  const Ranks one(1);
  float x[16] = {};
  sparcclTensor_t tensor = nullptr;
  ASSERT_EQ(sparcclTensorCreate(one.comms[0], "t", 10, sparcclFloat32, nullptr, &tensor),
            sparcclSuccess);
  for (const auto& [send, recv] : {std::pair{x, x + 1}, {x + 6, x}}) {
    expect_failure(
        sparcclAllReduce(send, recv, 10, sparcclFloat32, sparcclSum, one.comms[0], nullptr),
        sparcclInvalidArgument, "overlap");
    expect_failure(
        sparcclAllReduce(send, recv, 10, sparcclInt32, sparcclSum, one.comms[0], nullptr),
        sparcclInvalidArgument, "overlap");
    expect_failure(sparcclTensorAllReduce(tensor, send, recv, sparcclSum, 1.0, nullptr),
                   sparcclInvalidArgument, "overlap");
  }
  EXPECT_EQ(sparcclTensorDestroy(tensor), sparcclSuccess);
}

TEST(BadArgument, StreamLossScaleAndDensity) {
  const Ranks one(1);
  float x[4] = {1, 2, 3, 4};
  sparcclTensor_t tensor = nullptr;
  expect_failure(sparcclAllReduce(x, x, 4, sparcclFloat32, sparcclSum, one.comms[0], x),
                 sparcclInvalidArgument, "stream: expected a null pointer");
  ASSERT_EQ(sparcclTensorCreate(one.comms[0], "t", 4, sparcclFloat32, nullptr, &tensor),
            sparcclSuccess);
  expect_failure(sparcclTensorAllReduce(tensor, x, x, sparcclSum, 1.0, x), sparcclInvalidArgument,
                 "stream: expected a null pointer");
  for (const double scale : {0.0, -1.0, nan, infinity}) {
    expect_failure(sparcclTensorAllReduce(tensor, x, x, sparcclSum, scale, nullptr),
                   sparcclInvalidArgument, "scale");
  }
  expect_failure(sparcclTensorAllReduce(tensor, x, x, sparcclMax, 2.0, nullptr),
                 sparcclInvalidArgument, "loss_scale: expected 1 for max");
  for (const double density : {0.0, 1.5, nan}) {
    expect_failure(sparcclTensorSetDensity(tensor, density), sparcclInvalidArgument, "density");
  }
  for (const double mu : {-1.0, nan}) {
    expect_failure(sparcclTensorSetMu(tensor, mu), sparcclInvalidArgument, "mu");
  }
  EXPECT_EQ(sparcclTensorAllReduce(tensor, x, x, sparcclSum, 1.0, nullptr), sparcclSuccess);
  EXPECT_EQ(sparcclTensorDestroy(tensor), sparcclSuccess);
}

TEST(BadArgument, HugeCountsAreRefusedAndNotMultiplied) {
  const Ranks one(1);
  float x = 0;
  for (const std::size_t count : {~std::size_t{0}, ~std::size_t{0} / 4 + 1}) {
    EXPECT_NE(sparcclAllReduce(&x, &x, count, sparcclFloat32, sparcclSum, one.comms[0], nullptr),
              sparcclSuccess);
    EXPECT_NE(sparcclAllReduce(&x, &x, count, sparcclInt64, sparcclSum, one.comms[0], nullptr),
              sparcclSuccess);
  }
}

TEST(Errors, EveryCodeHasAString) {
  for (int code = 0; code <= 13; ++code) {
    EXPECT_STRNE(sparcclGetErrorString(any_int<sparcclResult_t>(code)), "") << code;
  }
  const char* unknown = sparcclGetErrorString(any_int<sparcclResult_t>(99));
  EXPECT_STREQ(unknown, sparcclGetErrorString(any_int<sparcclResult_t>(-1)));
  EXPECT_STRNE(unknown, "");
}

TEST(Errors, TheSentenceBelongsToTheThread) {
  EXPECT_EQ(sparcclGetVersion(nullptr), sparcclInvalidArgument);
  const std::string mine = last_error();
  std::thread([] { EXPECT_EQ(last_error(), ""); }).join();
  int version = 0;
  EXPECT_EQ(sparcclGetVersion(&version), sparcclSuccess);
  EXPECT_EQ(last_error(), mine);  // of the last call that failed
}

}  // namespace
}  // namespace sparccl::test
