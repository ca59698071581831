// From one floating-point type to another.
#include "host/host_stages.hpp"
#include "visit.hpp"

namespace sparccl::host {

void convert(void* to, DataType to_type, const void* from, DataType from_type, std::size_t count,
             double scale) {
  visit_floating(from_type, [&]<class From>(Tag<From>) {
    visit_floating(to_type, [&]<class To>(Tag<To>) {
      using A = Accumulator<From>;
      const auto* in = static_cast<const From*>(from);
      auto* out = static_cast<To*>(to);
      const auto factor = static_cast<A>(scale);
      for (std::size_t i = 0; i < count; ++i) {
        out[i] = Convert<To>::from(factor * static_cast<A>(Convert<From>::up(in[i])));
      }
    });
  });
}

}  // namespace sparccl::host
