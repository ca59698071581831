// From a DataType at run time to a type at compile time, once, where a stage is entered.
#pragma once

#include "formulas.hpp"

namespace sparccl {

template <class T>
struct Tag {
  using type = T;
};

/// f(Tag<T>{}) for the floating-point type; plans hold no other (plugin/plan.cpp).
template <class F>
decltype(auto) visit_floating(DataType type, F&& f) {
  switch (type) {
    case DataType::float16: return f(Tag<float16>{});
    case DataType::bfloat16: return f(Tag<bfloat16>{});
    case DataType::float64: return f(Tag<double>{});
    default: return f(Tag<float>{});
  }
}

/// f(Tag<A>{}) for an accumulator type.
template <class F>
decltype(auto) visit_accumulator(DataType type, F&& f) {
  return type == DataType::float64 ? f(Tag<double>{}) : f(Tag<float>{});
}

}  // namespace sparccl
