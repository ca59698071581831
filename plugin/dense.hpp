// Elementwise reduction of dense buffers, for transports that reduce by themselves.
#pragma once

#include <cstddef>

#include <sparccl/types.hpp>

namespace sparccl {

/// result[i] = sources[0][i] op sources[1][i] op ..., in that order; avg divides by `ranks`. 16-bit
/// floats are reduced in float and rounded once. sources: [ranks] pointers to [count] of type.
/// result may be one of the sources. No allocation.
void reduce(void* result, const void* const* sources, int ranks, std::size_t count, DataType type,
            Reduction reduction);

/// data[i] /= ranks, integers truncated towards zero: an avg out of a sum.
void divide(void* data, int ranks, std::size_t count, DataType type);

}  // namespace sparccl
