#include "c_handles.hpp"

#include "group.hpp"

#include <cmath>
#include <exception>
#include <new>
#include <sstream>
#include <utility>

namespace sparccl::c {
namespace {

thread_local std::string sentence;

[[noreturn]] void reject(const std::string& what) { throw Error(Result::invalid_argument, what); }

template <class Expected, class Found>
[[noreturn]] void reject(const char* what, const Expected& expected, const Found& found) {
  std::ostringstream text;
  text << what << ": expected " << expected << ", found " << found;
  reject(text.str());
}

std::string version_text(unsigned code) {
  return std::to_string(code / 10000) + "." + std::to_string(code / 100 % 100) + "." +
         std::to_string(code % 100);
}

}  // namespace

/// Size comes first: the rest may only be read if it is there. A later version that appends fields
/// will accept the sizes and versions of the earlier ones, and take its defaults for what they
/// lack.
void require_this_version(const void* given, const Struct& expected) {
  const std::string name = expected.name;
  std::size_t size = 0;
  std::memcpy(&size, given, sizeof(size));
  if (size != expected.size) {
    reject((name + ".size").c_str(),
           std::to_string(expected.size) + " bytes (begin with " + expected.initializer + ")",
           size);
  }
  unsigned head[2];  // magic, version
  std::memcpy(head, static_cast<const std::byte*>(given) + sizeof(size), sizeof(head));
  if (head[0] != expected.magic) {
    std::ostringstream text;
    text << name << std::hex << ".magic: expected 0x" << expected.magic << ", found 0x" << head[0];
    reject(text.str());
  }
  if (head[1] / 100 != SPARCCL_VERSION_CODE / 100) {
    reject((name + ".version").c_str(),
           std::to_string(SPARCCL_MAJOR) + "." + std::to_string(SPARCCL_MINOR) + ".x",
           version_text(head[1]));
  }
}

Config read_config(const sparcclConfig_t* config, const Config& defaults) {
  if (config == nullptr) return defaults;
  require_this_version(config, {"config", "SPARCCL_CONFIG_INITIALIZER", sizeof(sparcclConfig_t),
                                SPARCCL_CONFIG_MAGIC});
  if (config->k == 0 && !(config->density > 0.0 && config->density <= 1.0)) {
    reject("config.density", "a number in (0, 1]", config->density);
  }
  if (!(config->mu >= 0.0 && std::isfinite(config->mu))) {
    reject("config.mu", "a finite number >= 0", config->mu);
  }
  if (config->distortion < sparcclDistortionPrevious ||
      config->distortion > sparcclDistortionCurrent) {
    reject("config.distortion", "0 (previous) or 1 (current)", config->distortion);
  }
  if (config->nonFinite < sparcclNonFinitePropagate || config->nonFinite > sparcclNonFiniteError) {
    reject("config.nonFinite", "0 (propagate) or 1 (error)", config->nonFinite);
  }
  const auto wire = static_cast<DataType>(config->wire);
  if (config->wire != SPARCCL_WIRE_AUTO && !is_floating_point(wire)) {
    reject("config.wire", "-1 (auto), 6 (float16), 7 (float32), 8 (float64) or 9 (bfloat16)",
           config->wire);
  }
  if (config->reserved != 0) reject("config.reserved", 0, config->reserved);

  const Path path = read_path(config->path, "config.path");
  if (config->ranksPerNode < 0) {
    reject("config.ranksPerNode", "0 or more", config->ranksPerNode);
  }

  Config read;
  read.options.path = path;
  read.communicator.ranks_per_node = config->ranksPerNode;
  read.options.density = config->density;
  if (config->k != 0) read.options.k = config->k;
  read.options.mu = config->mu;
  read.options.distortion = static_cast<Distortion>(config->distortion);
  if (config->wire != SPARCCL_WIRE_AUTO) read.options.wire = wire;
  read.options.non_finite = static_cast<NonFinite>(config->nonFinite);
  read.communicator.timeout_ms = config->timeoutMs;
  return read;
}

Path read_path(int path, const char* what) {
  if (path < sparcclPathAuto || path > sparcclPathHierarchical) {
    reject(what, "0 (auto), 1 (dense), 2 (allgather), 3 (split) or 4 (hierarchical)", path);
  }
  return static_cast<Path>(path);
}

DataType read_type(const sparcclDataType_t& type) {
  const int number = raw(type);
  if (number < sparcclInt8 || number > sparcclBfloat16) {
    reject("datatype", "0 (int8) to 9 (bfloat16)", number);
  }
  return static_cast<DataType>(number);
}

Reduction read_reduction(const sparcclRedOp_t& op) {
  const int number = raw(op);
  if (number < sparcclSum || number > sparcclAvg) reject("op", "0 (sum) to 4 (avg)", number);
  return static_cast<Reduction>(number);
}

sparcclComm_t Registry::add(Comm comm) {
  auto shared = std::make_shared<Comm>(std::move(comm));
  const std::lock_guard lock(mutex_);
  comms_.emplace(next_, std::move(shared));
  return reinterpret_cast<sparcclComm_t>(next_++);
}

sparcclTensor_t Registry::add(Tensor tensor) {
  const std::lock_guard lock(mutex_);
  tensors_.emplace(next_, std::move(tensor));
  return reinterpret_cast<sparcclTensor_t>(next_++);
}

template <class Map>
typename Map::iterator Registry::locate(Map& map, const void* handle, const char* kind) {
  require_not_null(handle, kind);
  const auto number = reinterpret_cast<std::uintptr_t>(handle);
  const auto found = map.find(number);
  if (found != map.end()) return found;
  if (number >= next_ || comms_.contains(number) || tensors_.contains(number)) {
    std::ostringstream text;
    text << handle;
    reject(kind, "a handle that this library gave out", text.str() + ", which is not one");
  }
  throw Error(Result::invalid_usage,
              std::string(kind) + ": expected a live handle, found one that was destroyed");
}

std::shared_ptr<Comm> Registry::find(sparcclComm_t handle) {
  const std::lock_guard lock(mutex_);
  return locate(comms_, handle, "comm")->second;
}

Tensor Registry::find(sparcclTensor_t handle) {
  const std::lock_guard lock(mutex_);
  const Tensor& tensor = locate(tensors_, handle, "tensor")->second;
  if (tensor.comm != nullptr) return tensor;
  throw Error(Result::invalid_usage,
              "tensor: expected its communicator to be alive, found that it was destroyed");
}

// What is forgotten is taken out under the lock and ends after it: a destructor may take long.

void Registry::destroy(sparcclComm_t handle) {
  std::shared_ptr<Comm> comm;
  std::map<std::uintptr_t, Tensor> orphans;
  const std::lock_guard lock(mutex_);
  const auto found = locate(comms_, handle, "comm");
  for (auto& [number, tensor] : tensors_) {
    if (tensor.comm == found->second) orphans.emplace(number, std::exchange(tensor, {}));
  }
  comm = std::move(found->second);
  comms_.erase(found);
}

void Registry::destroy(sparcclTensor_t handle) {
  Tensor tensor;
  const std::lock_guard lock(mutex_);
  const auto found = locate(tensors_, handle, "tensor");
  tensor = std::move(found->second);
  tensors_.erase(found);
}

Registry& registry() {
  static Registry& instance = *new Registry;
  return instance;
}

std::vector<std::unique_ptr<Group>>& open_groups() {
  static_cast<void>(in_group());  // what groups use on this thread must outlive them
  static thread_local std::vector<std::unique_ptr<Group>> groups;
  return groups;
}

void keep_sentence(const char* what) noexcept {
  try {
    sentence = what;
  } catch (...) {
    sentence.clear();
  }
}

sparcclResult_t explain_exception() noexcept {
  const auto keep = keep_sentence;
  try {
    throw;
  } catch (const Error& error) {
    keep(error.what());
    return static_cast<sparcclResult_t>(error.code());
  } catch (const std::bad_alloc&) {
    keep("out of memory");
    return sparcclSystemError;
  } catch (const std::exception& error) {
    keep(error.what());
    return sparcclInternalError;
  } catch (...) {
    keep("an exception of unknown type");
    return sparcclInternalError;
  }
}

const char* last_error() noexcept { return sentence.c_str(); }

void require_not_null(const void* pointer, const char* name) {
  if (pointer == nullptr) {
    throw Error(Result::invalid_argument, std::string(name) + ": expected a pointer, found NULL");
  }
}

sparcclResult_t create_comm(
    sparcclComm_t* comm, const sparcclConfig_t* config,
    const std::function<Communicator(const CommunicatorOptions&)>& make) noexcept {
  return guard([&] {
    require_not_null(comm, "comm");
    const Config read = read_config(config);
    *comm = registry().add(Comm{make(read.communicator), read, {}});
  });
}

}  // namespace sparccl::c
