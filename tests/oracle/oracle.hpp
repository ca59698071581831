// A model of all ranks at once, to compare the implementation with. Every number is a double that
// is rounded to the accumulator type where the definition says so (rounding a double operation on
// two floats to float gives the float operation), which lets residuals be compared bit by bit.
// The definition: arXiv 2409.14893 as the header of golden/regtopk_reference.py states it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include <sparccl/types.hpp>

namespace sparccl::test {

struct Shape {
  int ranks = 1;
  std::size_t count = 1;
  std::size_t k = 1;
  DataType type = DataType::float32;
  DataType wire = DataType::float32;
  double mu = 0;
  Distortion distortion = Distortion::previous;
  Reduction reduction = Reduction::sum;
  Path path = Path::allgather;  // the oracle knows no other
  int ranks_per_node = 0;
};

using Vector = std::vector<double>;
using Positions = std::vector<std::uint64_t>;

/// The k largest scores, ties to the lower position, ascending. By a stable sort.
[[nodiscard]] Positions largest_scores(std::span<const double> scores, std::size_t k);

class Oracle {
 public:
  explicit Oracle(const Shape& shape);

  struct Outcome {
    bool finite = true;
    Vector result;                     // [count]; NaN in every entry if not finite
    Positions sent_by_any;             // ascending
    std::vector<Positions> positions;  // [ranks][k], ascending
    std::vector<Vector> values;        // [ranks][k], as sent
  };

  /// gradients: [ranks][count], values of the tensor's type. observed: the residuals that an
  /// implementation had after this step; where it took another entry than the oracle, and the
  /// scores of both are so near to each other that an ulp of tanh decides, the oracle follows it.
  Outcome step(std::span<const Vector> gradients, double loss_scale = 1.0,
               std::span<const Vector> observed = {});

  void set_k(std::size_t k) { shape_.k = k; }

  [[nodiscard]] const Shape& shape() const { return shape_; }
  [[nodiscard]] const Vector& residual(int rank) const { return states_[index(rank)].residual; }
  /// How many times the oracle followed an implementation at a near tie.
  [[nodiscard]] std::size_t near_ties() const { return near_ties_; }

 private:
  struct State {
    Vector residual;
    Positions positions;  // of the last step, and there:
    Vector own, total;    // the value that this rank sent, and the sum over all ranks
  };

  static std::size_t index(int rank) { return static_cast<std::size_t>(rank); }
  [[nodiscard]] double rounded(double x) const;
  [[nodiscard]] Vector accumulate(const State& state, const Vector& gradient, double scale) const;
  [[nodiscard]] Vector score(const State& state, const Vector& a) const;
  void follow(const Vector& a, const Vector& scores, const Vector& observed, Positions& picked);

  Shape shape_;
  std::vector<State> states_;
  std::size_t near_ties_ = 0;
};

}  // namespace sparccl::test
