// Peers and networks that fail in the middle of a call: an error that names rank and tensor, and
// the residual and history of before.
#include <cstring>

#include <gtest/gtest.h>

#include "sparse_allreduce.hpp"
#include "tampered.hpp"
#include "transport/local.hpp"
#include "wire.hpp"
#include "world.hpp"

namespace sparccl::test {
namespace {

constexpr int ranks = 3;
constexpr std::size_t count = 70'000;

/// Three ranks, whose transports are in the test's hands, after two steps of small integers (which
/// are taken back exactly).
class HostilePeer : public testing::Test {
 protected:
  HostilePeer() {
    for (auto& transport : make_local_transports(ranks, {})) {
      auto tampered = std::make_unique<Tampered>(std::move(transport));
      transports_.push_back(tampered.get());
      communicators_.emplace_back(std::move(tampered));
      tensors_.push_back(std::make_unique<SparseAllreduce>(
          communicators_.back(), "fc1.weight", count, DataType::float32, Options{.k = 500}));
    }
    for (int t = 0; t < 2; ++t) {
      on_each(communicators_, [&](Communicator& c) { call(c); });
    }
  }

  void call(Communicator& communicator) {
    const auto rank = static_cast<std::size_t>(communicator.rank());
    const Bytes gradient = to_bytes(DataType::float32, make_integers(count, 50, rank + 1));
    Bytes result(gradient.size());
    (*tensors_[rank])(gradient.data(), result.data());
  }

  /// Rank 1 tampers with what it receives of rank 2: its call fails, later ones say why, and the
  /// other ranks' next call says that rank 1 has left.
  void expect_refused(const Tampered::Tamper& tamper, Result code,
                      const std::vector<std::string>& words) {
    transports_[1]->on_gather = tamper;
    const Bytes before = state_of(*tensors_[1]);
    on_each(communicators_, [&](Communicator& communicator) {
      if (communicator.rank() != 1) {
        call(communicator);  // rank 1 fails alone, and the others hear of it instead of waiting
        expect_error([&] { call(communicator); }, Result::remote_error, {"rank 1"});
        return;
      }
      std::vector<std::string> all = words;
      all.push_back("fc1.weight");
      expect_error([&] { call(communicator); }, code, all);
      EXPECT_EQ(state_of(*tensors_[1]), before);
      EXPECT_EQ(communicator.async_error(), code);
      expect_error([&] { call(communicator); }, code, words);
      EXPECT_EQ(state_of(*tensors_[1]), before);
    });
  }

  std::vector<Tampered*> transports_;
  std::vector<Communicator> communicators_;
  std::vector<std::unique_ptr<SparseAllreduce>> tensors_;
};

TEST_F(HostilePeer, SendsAPositionOutsideTheTensor) {
  expect_refused(
      [&](std::byte* slots, std::size_t bytes) {
        const Packet packet = wire::view(tensors_[1]->impl().plan(), slots + 2 * bytes);
        packet.offsets[499] = 65'535;
      },
      Result::bad_packet, {"rank 2", "position"});
}

TEST_F(HostilePeer, SendsANaN) {
  expect_refused(
      [&](std::byte* slots, std::size_t bytes) {
        const Packet packet = wire::view(tensors_[1]->impl().plan(), slots + 2 * bytes);
        static_cast<float*>(packet.values)[7] = std::numeric_limits<float>::quiet_NaN();
      },
      Result::bad_packet, {"rank 2", "finite"});
}

TEST_F(HostilePeer, SendsNothingOfTheKind) {
  expect_refused(
      [](std::byte* slots, std::size_t bytes) { std::memset(slots + 2 * bytes, 0xee, bytes); },
      Result::bad_packet, {"rank 2", "expected", "found"});
}

TEST_F(HostilePeer, SendsThePacketOfAnotherStep) {
  expect_refused(
      [&](std::byte* slots, std::size_t bytes) {
        wire::write_identity(tensors_[1]->impl().plan(), 1, slots + 2 * bytes);
      },
      Result::bad_packet, {"rank 2", "call", "expected 2", "found 1"});
}

TEST_F(HostilePeer, BreaksTheConnection) {
  expect_refused(
      [](std::byte*, std::size_t) { throw Error(Result::remote_error, "connection lost"); },
      Result::remote_error, {"connection lost"});
}

TEST_F(HostilePeer, AnswersGarbageToTheCall) {
  transports_[1]->on_meet = [](std::byte* slots, std::size_t bytes) {
    std::memset(slots + 2 * bytes, 0xff, bytes);
  };
  const Bytes before = state_of(*tensors_[1]);
  // The others take part in nothing here: rank 1 must find out by itself.
  on_each(communicators_, [&](Communicator& communicator) {
    if (communicator.rank() == 1) {
      expect_error([&] { call(communicator); }, Result::mismatch, {"fc1.weight", "rank 2"});
      EXPECT_EQ(state_of(*tensors_[1]), before);
      communicator.abort();  // frees the others, who wait for its packet
    } else {
      expect_error([&] { call(communicator); }, Result::aborted, {"fc1.weight"});
    }
  });
}

}  // namespace
}  // namespace sparccl::test
