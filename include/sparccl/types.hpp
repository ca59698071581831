// Element types, reductions and errors: the vocabulary of every other header.
#pragma once

#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>

#include <sparccl/export.h>

namespace sparccl {

/// Element types. The values equal those of ncclDataType_t and sparcclDataType_t.
enum class DataType : std::int32_t {
  int8 = 0,
  uint8 = 1,
  int32 = 2,
  uint32 = 3,
  int64 = 4,
  uint64 = 5,
  float16 = 6,
  float32 = 7,
  float64 = 8,
  bfloat16 = 9,
};

/// Reductions. The values equal those of ncclRedOp_t and sparcclRedOp_t.
enum class Reduction : std::int32_t { sum = 0, prod = 1, max = 2, min = 3, avg = 4 };

/// What RegTop-k divides by when it asks how much of an entry the other ranks cancelled.
enum class Distortion : std::int32_t {
  previous = 0,  ///< the value sent last step: reproduces the papers' figures
  current = 1,   ///< this step's accumulated value: the text of arXiv 2409.14893
};

/// What a call does when the gradient of any rank holds a NaN or an Inf. Under both, residual and
/// history of every rank are as if the step had not happened.
enum class NonFinite : std::int32_t {
  propagate = 0,  ///< the result is NaN on every rank, so that loss scalers skip the step
  error = 1,  ///< as propagate, and the call then throws Result::non_finite on every rank; refused
              ///< over NCCL, where calls return before the gradient is read
};

/// How a step's gradient reaches the other ranks. docs/paths.md says what each costs.
enum class Path : std::int32_t {
  automatic = 0,  ///< the one of the others that the cost model takes for the fastest
  dense = 1,      ///< the whole gradient, and the residual with it, by a dense allreduce
  allgather = 2,  ///< every rank gets every rank's k entries: O(P k) bytes a rank
  split = 3,      ///< each rank reduces one range of positions, then all get all ranges: O(k) bytes
  hierarchical = 4,  ///< dense inside a node; between nodes each rank's shard goes the sparse way
};

/// Error codes. The values equal those of sparcclResult_t; 1 to 7 equal those of ncclResult_t.
enum class Result : std::int32_t {
  success = 0,
  unhandled_cuda_error = 1,
  system_error = 2,
  internal_error = 3,
  invalid_argument = 4,
  invalid_usage = 5,
  remote_error = 6,
  in_progress = 7,
  mismatch = 8,     ///< the ranks disagree about the call: nobody's state has changed
  bad_packet = 9,   ///< a peer sent bytes that are not a packet of this tensor
  bad_state = 10,   ///< a state file is truncated, corrupted, or of another tensor
  non_finite = 11,  ///< a gradient was not finite, under NonFinite::error
  timeout = 12,     ///< a peer did not arrive in time
  aborted = 13,     ///< the communicator was aborted
};

/// Every failure of this library. what() says what was expected and what was found.
class SPARCCL_API Error : public std::runtime_error {
 public:
  Error(Result code, const std::string& message);
  ~Error() override;
  [[nodiscard]] Result code() const noexcept { return code_; }

 private:
  Result code_;
};

/// Bytes of one element. Throws Error(invalid_argument) on a value outside the enumeration.
[[nodiscard]] SPARCCL_API std::size_t size_of(DataType type);

/// Lower-case names: "float32", "sum", "mismatch", "auto".
[[nodiscard]] SPARCCL_API const char* name_of(DataType type) noexcept;
[[nodiscard]] SPARCCL_API const char* name_of(Reduction reduction) noexcept;
[[nodiscard]] SPARCCL_API const char* name_of(Result code) noexcept;
[[nodiscard]] SPARCCL_API const char* name_of(Path path) noexcept;  ///< "auto", "dense", ...

/// float16, bfloat16, float32 or float64: the types that the sparse path reduces.
[[nodiscard]] SPARCCL_API bool is_floating_point(DataType type) noexcept;

}  // namespace sparccl
