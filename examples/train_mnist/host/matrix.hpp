// Views of memory as Eigen's matrices. For what is compiled for this very machine alone: Eigen's
// types change their layout with the instructions they are compiled for.
#pragma once

#include <Eigen/Core>
#include <cstddef>

namespace mnist {

using Index = Eigen::Index;
using Matrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using View = Eigen::Map<Matrix>;
using ConstView = Eigen::Map<const Matrix>;
using RowView = Eigen::Map<Eigen::RowVectorXf>;
using ConstRowView = Eigen::Map<const Eigen::RowVectorXf>;

inline Index as_index(std::size_t size) { return static_cast<Index>(size); }

}  // namespace mnist
