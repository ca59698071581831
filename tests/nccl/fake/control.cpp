// What tests say to the stand-in and ask of it.
#include <string>

#include "comm.hpp"
#include "fake_nccl.hpp"

using namespace fake_nccl;

extern "C" {

void fakeNcclReset() {
  with_wishes([](Wishes& wishes) { wishes = {}; });
}

void fakeNcclSetVersion(int version) {
  with_wishes([&](Wishes& wishes) { wishes.version = version; });
}

void fakeNcclFailNext(const char* function, ncclResult_t result) {
  with_wishes([&](Wishes& wishes) {
    wishes.fail_function = function;
    wishes.fail_result = result;
  });
}

void fakeNcclSetAsyncError(int rank, ncclResult_t result) {
  for_each([&](Comm& comm) {
    const std::lock_guard<std::mutex> lock(comm.mutex);
    if (comm.rank == rank && !comm.blocking) comm.error = result;
  });
}

void fakeNcclSetAbortsAreHeard(bool heard) {
  with_wishes([&](Wishes& wishes) { wishes.aborts_are_heard = heard; });
}

void fakeNcclStickNext(int rank) {
  with_wishes([&](Wishes& wishes) { wishes.stick_rank = rank; });
}

std::size_t fakeNcclLive() { return live(); }

std::size_t fakeNcclAborted() {
  std::size_t count = 0;
  with_wishes([&](Wishes& wishes) { count = wishes.aborts; });
  return count;
}

std::size_t fakeNcclCompleted() { return completed(); }

const char* fakeNcclMisuse() {
  thread_local std::string text;
  with_wishes([&](Wishes& wishes) { text = wishes.misuse; });
  return text.c_str();
}
}
