#include "dense.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <string>
#include <type_traits>

#include "formulas.hpp"

namespace sparccl {
namespace {

/// Entries that are reduced at a time: their accumulators stay in the first-level cache, and are
/// written after the last source was read, so that the result may be a source.
constexpr std::size_t tile_size = 512;

template <class T>
struct Tag {
  using type = T;
};

template <class F>
void visit(DataType type, F&& f) {
  switch (type) {
    case DataType::int8: return f(Tag<std::int8_t>{});
    case DataType::uint8: return f(Tag<std::uint8_t>{});
    case DataType::int32: return f(Tag<std::int32_t>{});
    case DataType::uint32: return f(Tag<std::uint32_t>{});
    case DataType::int64: return f(Tag<std::int64_t>{});
    case DataType::uint64: return f(Tag<std::uint64_t>{});
    case DataType::float16: return f(Tag<float16>{});
    case DataType::float32: return f(Tag<float>{});
    case DataType::float64: return f(Tag<double>{});
    case DataType::bfloat16: return f(Tag<bfloat16>{});
  }
  throw Error(Result::invalid_argument, "data type: expected 0 to 9, found " +
                                            std::to_string(static_cast<std::int32_t>(type)));
}

/// What T is reduced in: itself, but float for 16-bit floats.
template <class T>
auto load(T x) {
  if constexpr (std::is_arithmetic_v<T>) {
    return x;
  } else {
    return Convert<T>::up(x);
  }
}
template <class T>
using Reduced = decltype(load(T{}));

template <class T>
T store(Reduced<T> x) {
  if constexpr (std::is_arithmetic_v<T>) {
    return x;
  } else {
    return Convert<T>::from(x);
  }
}

struct Sum {
  template <class A>
  static A combine(A a, A b) {
    if constexpr (std::is_integral_v<A>) {  // unsigned, where overflow is defined to wrap
      using U = std::make_unsigned_t<A>;
      return static_cast<A>(static_cast<U>(static_cast<U>(a) + static_cast<U>(b)));
    } else {
      return a + b;
    }
  }
};

struct Product {
  template <class A>
  static A combine(A a, A b) {
    if constexpr (std::is_integral_v<A>) {
      using U = std::make_unsigned_t<A>;
      return static_cast<A>(static_cast<U>(static_cast<U>(a) * static_cast<U>(b)));
    } else {
      return a * b;
    }
  }
};

/// Maximum and minimum keep a NaN of any source, wherever it stands: x != x only there.
struct Maximum {
  template <class A>
  static A combine(A a, A b) {
    return b > a || b != b ? b : a;
  }
};

struct Minimum {
  template <class A>
  static A combine(A a, A b) {
    return b < a || b != b ? b : a;
  }
};

template <class A>
A divided(A a, int ranks) {
  if constexpr (!std::is_integral_v<A>) {
    return a / static_cast<A>(ranks);
  } else if constexpr (std::is_signed_v<A>) {
    return static_cast<A>(static_cast<std::int64_t>(a) / ranks);  // ranks may not fit A
  } else {
    return static_cast<A>(static_cast<std::uint64_t>(a) / static_cast<std::uint64_t>(ranks));
  }
}

template <class T, class Op>
void reduce_as(T* result, const void* const* sources, int ranks, std::size_t count, bool average) {
  std::array<Reduced<T>, tile_size> sums;
  for (std::size_t begin = 0; begin < count; begin += tile_size) {
    const std::size_t size = std::min(tile_size, count - begin);
    const T* first = static_cast<const T*>(sources[0]) + begin;
    for (std::size_t i = 0; i < size; ++i) sums[i] = load(first[i]);
    for (int rank = 1; rank < ranks; ++rank) {
      const T* source = static_cast<const T*>(sources[rank]) + begin;
      for (std::size_t i = 0; i < size; ++i) sums[i] = Op::combine(sums[i], load(source[i]));
    }
    if (average) {
      for (std::size_t i = 0; i < size; ++i) sums[i] = divided(sums[i], ranks);
    }
    for (std::size_t i = 0; i < size; ++i) result[begin + i] = store<T>(sums[i]);
  }
}

}  // namespace

void reduce(void* result, const void* const* sources, int ranks, std::size_t count, DataType type,
            Reduction reduction) {
  visit(type, [&]<class T>(Tag<T>) {
    T* out = static_cast<T*>(result);
    switch (reduction) {
      case Reduction::sum: return reduce_as<T, Sum>(out, sources, ranks, count, false);
      case Reduction::prod: return reduce_as<T, Product>(out, sources, ranks, count, false);
      case Reduction::max: return reduce_as<T, Maximum>(out, sources, ranks, count, false);
      case Reduction::min: return reduce_as<T, Minimum>(out, sources, ranks, count, false);
      case Reduction::avg: return reduce_as<T, Sum>(out, sources, ranks, count, true);
    }
    throw Error(Result::invalid_argument, "reduction: expected 0 to 4, found " +
                                              std::to_string(static_cast<std::int32_t>(reduction)));
  });
}

void divide(void* data, int ranks, std::size_t count, DataType type) {
  visit(type, [&]<class T>(Tag<T>) {
    T* out = static_cast<T*>(data);
    for (std::size_t i = 0; i < count; ++i) out[i] = store<T>(divided(load(out[i]), ranks));
  });
}

}  // namespace sparccl
