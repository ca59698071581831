#include "study/method.hpp"

namespace study {

const char* name_of(Method method) noexcept {
  switch (method) {
    case Method::dense: return "dense";
    case Method::topk: return "topk";
    case Method::regtopk: return "regtopk";
  }
  return "an unknown method";
}

}  // namespace study
