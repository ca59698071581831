// The routes, one file each.
#pragma once

#include "paths/route.hpp"

namespace sparccl {

[[nodiscard]] std::unique_ptr<Route> make_dense_route(const RouteContext& tensor, const Plan& plan,
                                                      const Options& options);
[[nodiscard]] std::unique_ptr<Route> make_allgather_route(const RouteContext& tensor,
                                                          const Plan& plan);
[[nodiscard]] std::unique_ptr<Route> make_split_route(const RouteContext& tensor, const Plan& plan);
[[nodiscard]] std::unique_ptr<Route> make_hierarchical_route(const RouteContext& tensor,
                                                             const Plan& plan);

}  // namespace sparccl
