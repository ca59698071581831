// From a user's wishes to a Plan, or to an Error that says which wish was wrong.
#pragma once

#include <string_view>

#include <sparccl/sparccl.hpp>

#include "stages.hpp"

namespace sparccl {

/// A rank's place in its world.
struct Place {
  int rank = 0;
  int world_size = 1;
};

/// Throws Error(invalid_argument): `tensor "name": expected ..., found ...`.
[[nodiscard]] Plan make_plan(std::string_view tensor, std::size_t count, DataType type,
                             const Options& options, Place place);

/// That a rank sends in a dense allreduce of the tensor, at best.
[[nodiscard]] std::uint64_t dense_bytes(const Plan& plan) noexcept;

/// `tensor "name": `, how every message about a tensor begins.
[[nodiscard]] std::string about(std::string_view tensor);

}  // namespace sparccl
