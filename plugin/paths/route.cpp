#include "paths/route.hpp"

#include "paths/routes.hpp"

namespace sparccl {

std::unique_ptr<Route> make_route(Path path, const RouteContext& tensor, const Plan& plan,
                                  const Options& options) {
  switch (path) {
    case Path::dense: return make_dense_route(tensor, plan, options);
    case Path::allgather: return make_allgather_route(tensor, plan);
    case Path::split: return make_split_route(tensor, plan);
    case Path::hierarchical: return make_hierarchical_route(tensor, plan);
    case Path::automatic: break;
  }
  throw Error(Result::internal_error, about(tensor.name) + "a path that was not chosen");
}

}  // namespace sparccl
