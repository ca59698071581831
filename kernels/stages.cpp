#include "stages.hpp"

namespace sparccl {

const char* text_of(Problem problem) noexcept {
  switch (problem) {
    case Problem::none: return "";
    case Problem::header: return "its header is not one of this call";
    case Problem::flags: return "unknown flags";
    case Problem::entries: return "it does not hold k entries";
    case Problem::table_over: return "its block table counts more entries than there are";
    case Problem::position: return "a position lies outside the tensor or out of order";
    case Problem::table_under: return "its block table counts fewer entries than it holds";
    case Problem::value: return "a value is not finite";
  }
  return "an unknown problem";
}

}  // namespace sparccl
