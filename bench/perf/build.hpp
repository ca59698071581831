// What this program was built with, and how to get the rest. One file per part, chosen by CMake.
#pragma once

namespace sparccl::perf::build {

extern const bool has_mpi;
extern const char* const how_to_get_mpi;
extern const bool has_cuda;
extern const char* const how_to_get_cuda;
extern const bool has_nccl;
extern const char* const how_to_get_nccl;
extern const bool has_gloo;
extern const char* const how_to_get_gloo;

/// The commit that was built; null where git did not say. Written by commit.cmake.
extern const char* const commit;

}  // namespace sparccl::perf::build
