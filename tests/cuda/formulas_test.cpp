// The host side of a .cu file gives the same bits as the C++ compiler.
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <limits>
#include <vector>

#include "formulas_all.hpp"

using sparccl::test::Input;
using sparccl::test::Outcome;

namespace {

/// Every kind of float: all exponents, both signs, denormals, zeros, Inf, NaN, halfway cases.
std::vector<float> floats() {
  std::vector<float> all;
  for (std::uint32_t high = 0; high < 0x10000u; high += 61) {
    for (const std::uint32_t low :
         {0x0000u, 0x0001u, 0x1000u, 0x1001u, 0x7fffu, 0x8000u, 0xffffu}) {
      all.push_back(std::bit_cast<float>(high << 16 | low));
    }
  }
  for (const float x : {0.0f, -0.0f, 65504.0f, 65520.0f, std::numeric_limits<float>::infinity(),
                        std::numeric_limits<float>::quiet_NaN()}) {
    all.push_back(x);
  }
  return all;
}

bool alike(double a, double b) { return a == b || (std::isnan(a) && std::isnan(b)); }

}  // namespace

int main() {
  const std::vector<float> all = floats();
  std::size_t wrong = 0;
  std::uint64_t hash = 0;
  for (std::size_t i = 0; i < all.size(); ++i) {
    const Input in{all[i], all[(i * 7919 + 17) % all.size()], 0.5f + static_cast<float>(i % 7)};
    const Outcome expected = sparccl::test::all_formulas(in);
    const Outcome found = sparccl::test::all_formulas_by_nvcc(in);
    hash = sparccl::test::mix(hash, expected.of_float);
    const bool right = expected.of_float == found.of_float &&
                       expected.of_double == found.of_double &&
                       alike(expected.damping_previous, found.damping_previous) &&
                       alike(expected.damping_current, found.damping_current) &&
                       alike(expected.damping_double, found.damping_double);
    if (!right && ++wrong <= 5) {
      std::printf("x %a, y %a, mu %a: nvcc's host code differs\n", static_cast<double>(in.x),
                  static_cast<double>(in.y), static_cast<double>(in.mu));
    }
  }
  std::printf("%zu inputs, %zu wrong, hash %016llx\n", all.size(), wrong,
              static_cast<unsigned long long>(hash));
  return wrong == 0 && all.size() > 7000 ? 0 : 1;
}
