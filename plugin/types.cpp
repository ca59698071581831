#include <sparccl/types.hpp>

#include <sparccl/sparccl.h>
#include <sparccl/sparccl.hpp>

namespace sparccl {

Error::Error(Result code, const std::string& message) : std::runtime_error(message), code_(code) {}

Error::~Error() = default;

std::size_t size_of(DataType type) {
  switch (type) {
    case DataType::int8:
    case DataType::uint8: return 1;
    case DataType::float16:
    case DataType::bfloat16: return 2;
    case DataType::int32:
    case DataType::uint32:
    case DataType::float32: return 4;
    case DataType::int64:
    case DataType::uint64:
    case DataType::float64: return 8;
  }
  throw Error(Result::invalid_argument, "data type: expected 0 to 9, found " +
                                            std::to_string(static_cast<std::int32_t>(type)));
}

const char* name_of(DataType type) noexcept {
  switch (type) {
    case DataType::int8: return "int8";
    case DataType::uint8: return "uint8";
    case DataType::int32: return "int32";
    case DataType::uint32: return "uint32";
    case DataType::int64: return "int64";
    case DataType::uint64: return "uint64";
    case DataType::float16: return "float16";
    case DataType::float32: return "float32";
    case DataType::float64: return "float64";
    case DataType::bfloat16: return "bfloat16";
  }
  return "unknown type";
}

const char* name_of(Reduction reduction) noexcept {
  switch (reduction) {
    case Reduction::sum: return "sum";
    case Reduction::prod: return "prod";
    case Reduction::max: return "max";
    case Reduction::min: return "min";
    case Reduction::avg: return "avg";
  }
  return "unknown reduction";
}

const char* name_of(Result code) noexcept {
  switch (code) {
    case Result::success: return "success";
    case Result::unhandled_cuda_error: return "unhandled CUDA error";
    case Result::system_error: return "system error";
    case Result::internal_error: return "internal error";
    case Result::invalid_argument: return "invalid argument";
    case Result::invalid_usage: return "invalid usage";
    case Result::remote_error: return "remote error";
    case Result::in_progress: return "in progress";
    case Result::mismatch: return "mismatch between ranks";
    case Result::bad_packet: return "bad packet";
    case Result::bad_state: return "bad state file";
    case Result::non_finite: return "non-finite gradient";
    case Result::timeout: return "timeout";
    case Result::aborted: return "aborted";
  }
  return "unknown result code";
}

const char* name_of(Path path) noexcept {
  switch (path) {
    case Path::automatic: return "auto";
    case Path::dense: return "dense";
    case Path::allgather: return "allgather";
    case Path::split: return "split";
    case Path::hierarchical: return "hierarchical";
  }
  return "unknown path";
}

bool is_floating_point(DataType type) noexcept {
  return type == DataType::float16 || type == DataType::bfloat16 || type == DataType::float32 ||
         type == DataType::float64;
}

int version() noexcept { return SPARCCL_VERSION_CODE; }

}  // namespace sparccl
