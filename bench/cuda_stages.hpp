// The parts of a benchmark on a device. Each throws sparccl::Error on a failure of CUDA.
#pragma once

#include <cuda_runtime.h>

#include <memory>
#include <string>
#include <vector>

#include "settings.hpp"
#include "tensor.hpp"

namespace sparccl::bench {

/// The peers' packets in this tensor, made from data of that kind; and their renewal on a stream.
class Peers {
 public:
  Peers(Tensor& tensor, const std::string& data, cudaStream_t stream);
  ~Peers();
  Peers(const Peers&) = delete;
  Peers& operator=(const Peers&) = delete;
  /// After pack(): the peers' packets become packets of this step.
  void renew(cudaStream_t stream) const;

 private:
  const Tensor& tensor_;
  void* steps_ = nullptr;  // [world_size - 1] pointers
};

/// One kind of data at one density. Medians in milliseconds.
struct StageRow {
  std::string data;
  double density = 0;
  std::size_t k = 0;
  double copy_ms = 0;  // of [count] floats, device to device, in the same repeats
  double accumulate_ms = 0, select_ms = 0, pack_ms = 0;
  double produce_ms = 0;  // the three together
  double memset_ms = 0, check_ms = 0, merge_ms = 0;
  double produce_to_floor = 0, merge_to_memset = 0;  // medians of the ratios
  double candidates_per_k = 0;
  std::uint64_t fallbacks = 0;  // of `repeats` steps
  double extra_bytes = 0;
};
[[nodiscard]] StageRow measure_stages(Backend& backend, const Settings& settings,
                                      const std::string& data, double density, cudaStream_t stream);

/// A whole call without its exchanges, at `count` entries, in microseconds.
struct CallTimes {
  double eager_us = 0, graph_us = 0;
};
[[nodiscard]] CallTimes measure_call(Backend& backend, const Settings& settings, std::size_t count,
                                     cudaStream_t stream);

struct BaselineTime {
  std::string name;
  double ms = 0;
};
[[nodiscard]] std::vector<BaselineTime> measure_baselines(const Settings& settings, double density,
                                                          cudaStream_t stream);

}  // namespace sparccl::bench
