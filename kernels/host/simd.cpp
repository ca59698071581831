#include "host/simd.hpp"

#include <cstdlib>
#include <string>

namespace sparccl::host {

const Simd& choose_simd() {
  const char* wanted = std::getenv("SPARCCL_SIMD");
  const Simd* found = find_simd(wanted);
  if (found != nullptr) return *found;
  throw Error(Result::invalid_argument,
              std::string("SPARCCL_SIMD: expected an instruction set that this processor has, of "
                          "portable, avx2, avx512; found \"") +
                  wanted + "\"");
}

}  // namespace sparccl::host
