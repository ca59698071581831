#include "nccl.hpp"

#include <dlfcn.h>

#include <bit>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <thread>

namespace sparccl::test {
namespace {

using namespace std::chrono_literals;

ncclUniqueId read_id(const std::string& file) {
  ncclUniqueId id;
  for (int i = 0; i < 600; ++i) {
    std::ifstream in(file, std::ios::binary);
    if (in.read(id.internal, sizeof id.internal)) return id;
    std::this_thread::sleep_for(100ms);
  }
  throw std::runtime_error("rank 0 did not write " + file);
}

void write_id(const ncclUniqueId& id, const std::string& file) {
  {
    std::ofstream out(file + ".part", std::ios::binary);
    out.write(id.internal, sizeof id.internal);
  }
  std::filesystem::rename(file + ".part", file);
}

}  // namespace

void check(cudaError_t code) {
  if (code != cudaSuccess)
    throw std::runtime_error(std::string("CUDA: ") + cudaGetErrorString(code));
}

Nccl::Nccl() {
  const char* named = std::getenv("SPARCCL_NCCL_LIBRARY");
  const char* file = named != nullptr && *named != '\0' ? named : "libnccl.so.2";
  void* library = dlopen(file, RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) throw std::runtime_error(dlerror());
  const auto find = [&]<class F>(F*& function, const char* name) {
    function = reinterpret_cast<F*>(dlsym(library, name));
    if (function == nullptr) throw std::runtime_error(std::string(file) + " has no " + name);
  };
  find(get_version, "ncclGetVersion");
  find(get_unique_id, "ncclGetUniqueId");
  find(comm_init_rank, "ncclCommInitRank");
  find(comm_destroy, "ncclCommDestroy");
  find(all_reduce, "ncclAllReduce");
  find(get_error_string_, "ncclGetErrorString");
}

void Nccl::check(ncclResult_t code) const {
  if (code != ncclSuccess)
    throw std::runtime_error(std::string("NCCL: ") + get_error_string_(code));
}

World::World(int rank, int size, const std::string& id_file) : rank_(rank), size_(size) {
  ncclUniqueId id;
  if (rank == 0) {
    nccl_.check(nccl_.get_unique_id(&id));
    write_id(id, id_file);
  } else {
    id = read_id(id_file);
  }
  nccl_.check(nccl_.comm_init_rank(&communicator_, size, id, rank));
  test::check(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking));
}

World::~World() {
  static_cast<void>(cudaStreamDestroy(stream_));
  static_cast<void>(nccl_.comm_destroy(communicator_));
}

std::vector<float> World::sum(const std::vector<float>& mine) const {
  const DeviceArray<float> values(mine);
  nccl_.check(nccl_.all_reduce(values.get(), values.get(), mine.size(), ncclFloat32, ncclSum,
                               communicator_, stream_));
  finish();
  return host_copy<float>(values.get(), mine.size());
}

bool World::same_everywhere(const std::vector<float>& mine) const {
  // As integers: minimum and maximum over the ranks are then those of bits.
  std::vector<std::uint32_t> bits(mine.size());
  std::memcpy(bits.data(), mine.data(), mine.size() * sizeof(float));
  const DeviceArray<std::uint32_t> least(bits), most(bits);
  nccl_.check(nccl_.all_reduce(least.get(), least.get(), bits.size(), ncclUint32, ncclMin,
                               communicator_, stream_));
  nccl_.check(nccl_.all_reduce(most.get(), most.get(), bits.size(), ncclUint32, ncclMax,
                               communicator_, stream_));
  finish();
  return host_copy<std::uint32_t>(least.get(), bits.size()) ==
         host_copy<std::uint32_t>(most.get(), bits.size());
}

}  // namespace sparccl::test
