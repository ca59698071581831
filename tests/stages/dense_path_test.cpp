// What Path::dense and Path::hierarchical ask of a backend besides the stages of a sparse exchange.
#include <cmath>

#include <gtest/gtest.h>

#include "data.hpp"
#include "rig.hpp"

namespace sparccl::test {
namespace {

/// One rank's memory around the stages of Path::dense.
class DenseRank {
 public:
  DenseRank(const BackendCase& where, const Plan& plan, std::size_t shift)
      : backend_(where.make()), plan_(plan) {
    const std::size_t width = size_of(plan.type);
    memory_.residual = part(plan.count * size_of(plan.accumulator()));
    memory_.sent_per_block = static_cast<std::uint32_t*>(part(plan.blocks() * 4));
    memory_.step = static_cast<std::uint64_t*>(part(16));
    memory_.call = memory_.step + 1;
    memory_.totals = static_cast<Report*>(part(sizeof(Report)));
    buffers_.push_back(backend_->allocate_shared(sizeof(Report)));
    memory_.report = static_cast<Report*>(buffers_.back().get());
    work_ = part(backend_->workspace_bytes(plan));
    send_ = part(plan.count * width);
    sum_ = part(plan.count * width);
    gradient_ = static_cast<std::byte*>(part((plan.count + shift) * width)) + shift * width;
    result_ = static_cast<std::byte*>(part((plan.count + shift + 1) * width)) + shift * width;
    refused_ = static_cast<std::uint32_t*>(part(4));
    backend_->upload(memory_.sent_per_block, std::vector<std::uint32_t>(plan.blocks(), 1).data(),
                     plan.blocks() * 4);
  }

  Vector prepare(const Vector& residual, const Vector& gradient, double scale) {
    upload(plan_.accumulator(), memory_.residual, residual);
    upload(plan_.type, gradient_, gradient);
    step_.gradient = gradient_;
    step_.scale = scale;
    step_.wire_bytes = 10;
    backend_->prepare_dense(plan_, step_, memory_, send_);
    return download(plan_.type, send_);
  }
  Vector conclude(const Vector& sum, bool in_place) {
    upload(plan_.type, sum_, sum);
    Output output;
    output.dense = in_place ? gradient_ : result_;
    backend_->conclude_dense(plan_, step_, memory_, work_, sum_, output);
    backend_->finish(nullptr);
    return download(plan_.type, output.dense);
  }
  void count() {
    backend_->count_dense(plan_, step_, memory_, work_);
    backend_->finish(nullptr);
  }
  void restore() { backend_->restore(plan_, step_, memory_, work_); }
  void refuse() {
    const std::uint32_t yes = 1;
    backend_->upload(refused_, &yes, sizeof(yes));
    step_.refused = refused_;
  }

  [[nodiscard]] Vector residual() { return download(plan_.accumulator(), memory_.residual); }
  [[nodiscard]] bool has_history() {
    std::vector<std::uint32_t> table(plan_.blocks());
    backend_->download(table.data(), memory_.sent_per_block, table.size() * 4);
    return std::any_of(table.begin(), table.end(), [](std::uint32_t in) { return in != 0; });
  }
  [[nodiscard]] std::uint64_t counter(std::size_t i) {
    std::uint64_t both[2];
    backend_->finish(nullptr);
    backend_->download(both, memory_.step, sizeof(both));
    return both[i];
  }
  [[nodiscard]] const Report& report() const { return *memory_.report; }

 private:
  void* part(std::size_t bytes) {
    buffers_.push_back(backend_->allocate(bytes));
    return buffers_.back().get();
  }
  void upload(DataType type, void* to, const Vector& values) {
    const Bytes bytes = to_bytes(type, values);
    backend_->finish(nullptr);
    backend_->upload(to, bytes.data(), bytes.size());
  }
  Vector download(DataType type, const void* from) {
    Bytes bytes(plan_.count * size_of(type));
    backend_->finish(nullptr);
    backend_->download(bytes.data(), from, bytes.size());
    return to_doubles(type, bytes.data(), plan_.count);
  }

  std::unique_ptr<Backend> backend_;
  Plan plan_;
  std::vector<Backend::Buffer> buffers_;
  Memory memory_;
  Step step_;
  void *work_, *send_, *sum_;
  std::byte *gradient_, *result_;
  std::uint32_t* refused_;
};

bool all_nan(const Vector& values) {
  return std::all_of(values.begin(), values.end(), [](double x) { return std::isnan(x); });
}

class DensePath : public testing::TestWithParam<DataType> {
 protected:
  DataType accumulator() const { return accumulator_of(GetParam()); }
  double rounded(double x) const { return round_to(accumulator(), x); }
};

TEST_P(DensePath, SendsEverythingAndKeepsWhatRoundingLeft) {
  const double scale = 0.25;
  for (const std::size_t count : {1, 7, 1'000, 70'003}) {
    for (const std::size_t shift : {0, 1}) {
      for (const bool in_place : {false, true}) {
        const Plan plan = plan_of({.count = count, .k = 1, .type = GetParam(), .wire = GetParam()});
        const Vector residual = make_data(Pattern::gaussian, count, accumulator(), 1);
        const Vector gradient = make_data(Pattern::heavy_tails, count, GetParam(), 2);
        const Vector sum = make_data(Pattern::clusters, count, GetParam(), 3);
        Vector send, rest;
        for (std::size_t i = 0; i < count; ++i) {
          const double a = rounded(residual[i] + rounded(rounded(scale) * gradient[i]));
          send.push_back(to_wire(GetParam(), a));
          rest.push_back(rounded(a - send.back()));
        }
        for (const BackendCase& backend : backends()) {
          SCOPED_TRACE(testing::Message() << backend.name << " n " << count << " shift " << shift);
          DenseRank rank(backend, plan, shift);
          ASSERT_EQ(rank.prepare(residual, gradient, scale), send);
          ASSERT_EQ(rank.residual(), residual);
          ASSERT_EQ(rank.conclude(sum, in_place), sum);
          ASSERT_EQ(rank.residual(), rest);
          EXPECT_FALSE(rank.has_history());
          EXPECT_EQ(rank.counter(0), 1u);
          EXPECT_EQ(rank.counter(1), 1u);
          EXPECT_EQ(rank.report().verdict.kind, Verdict::Kind::sum);
          EXPECT_EQ(rank.report().entries, count);
          EXPECT_EQ(rank.report().last_entries, count);
          EXPECT_EQ(rank.report().wire_bytes, 10u);
          rank.restore();  // after a sum: nothing
          ASSERT_EQ(rank.residual(), rest);
          rank.count();
          EXPECT_EQ(rank.report().steps, 2u);
          EXPECT_EQ(rank.report().entries, 2 * count);
          EXPECT_EQ(rank.counter(0), 2u);
          ASSERT_EQ(rank.residual(), rest);
        }
      }
    }
  }
}

TEST_P(DensePath, SumsThatAreNotFiniteChangeNothing) {
  constexpr std::size_t count = 5'003;
  const double infinity = std::numeric_limits<double>::infinity();
  const Plan plan = plan_of({.count = count, .k = 1, .type = GetParam(), .wire = GetParam()});
  const Vector residual = make_data(Pattern::gaussian, count, accumulator(), 1);
  const Vector gradient = make_data(Pattern::gaussian, count, GetParam(), 2);
  for (const BackendCase& backend : backends()) {
    for (const std::size_t at : {std::size_t{0}, std::size_t{2'500}, count - 1}) {
      for (const double bad : {std::nan(""), infinity, -infinity}) {
        SCOPED_TRACE(testing::Message() << backend.name << " " << bad << " at " << at);
        DenseRank rank(backend, plan, 0);
        Vector own = gradient;
        own[at] = bad;
        const Vector send = rank.prepare(residual, own, 1.0);
        ASSERT_EQ(std::isfinite(send[at]), false);
        Vector sum = gradient;
        sum[at] = bad;
        const Vector result = rank.conclude(sum, at == 0);
        for (std::size_t i = 0; i < count; ++i) {
          ASSERT_TRUE(result[i] == sum[i] || (std::isnan(result[i]) && std::isnan(sum[i]))) << i;
        }
        rank.restore();
        EXPECT_EQ(rank.residual(), residual);
        EXPECT_TRUE(rank.has_history());
        EXPECT_EQ(rank.counter(0), 1u);  // as that of a rank that looks at no sum
        EXPECT_EQ(rank.counter(1), 1u);
        EXPECT_EQ(rank.report().verdict.kind, Verdict::Kind::non_finite);
        EXPECT_EQ(rank.report().non_finite_steps, 1u);
        EXPECT_EQ(rank.report().entries, 0u);
        // The next one is not taken for it.
        EXPECT_FALSE(all_nan(rank.conclude(gradient, false)));
        EXPECT_EQ(rank.report().verdict.kind, Verdict::Kind::sum);
      }
    }
  }
}

TEST_P(DensePath, RefusedStepsDoNothing) {
  constexpr std::size_t count = 300;
  const Plan plan = plan_of({.count = count, .k = 1, .type = GetParam(), .wire = GetParam()});
  const Vector values = make_data(Pattern::gaussian, count, GetParam(), 2);
  for (const BackendCase& backend : backends()) {
    if (backend.name != "cuda") continue;  // hosts throw before it comes to that
    DenseRank rank(backend, plan, 0);
    const Vector send = rank.prepare(values, values, 1.0);
    rank.refuse();
    EXPECT_EQ(rank.prepare(values, Vector(count, 3.0), 1.0), send);
    EXPECT_TRUE(all_nan(rank.conclude(values, false)));
    EXPECT_EQ(rank.residual(), values);
    EXPECT_TRUE(rank.has_history());
    EXPECT_EQ(rank.report().verdict.kind, Verdict::Kind::refused);
    rank.count();
    EXPECT_EQ(rank.report().verdict.kind, Verdict::Kind::refused);
    EXPECT_EQ(rank.counter(0), 0u);
    EXPECT_EQ(rank.counter(1), 2u);
    EXPECT_EQ(rank.report().steps, 0u);
  }
}

TEST_P(DensePath, ConvertsCopiesAndClears) {
  for (const std::size_t count : {1, 5'001}) {
    for (const DataType to : floating_types) {
      for (const double scale : {1.0, 0.125, 1.0 / 3}) {
        const Vector from = make_data(Pattern::gaussian, count, GetParam(), 4);
        Vector expected;
        for (const double x : from) {
          const double product = rounded(rounded(scale) * x);
          // float64 narrows to 16 bits by way of float32 (number.hpp).
          expected.push_back(
              round_to(to, size_of(to) == 2 ? round_to(DataType::float32, product) : product));
        }
        for (const BackendCase& backend : backends()) {
          SCOPED_TRACE(testing::Message() << backend.name << " to " << name_of(to) << " " << scale);
          const auto where = backend.make();
          const Bytes bytes = to_bytes(GetParam(), from);
          const std::size_t size = count * size_of(to);
          const Backend::Buffer in = where->allocate(bytes.size());
          const Backend::Buffer out = where->allocate(size), copy = where->allocate(size + 8);
          where->upload(in.get(), bytes.data(), bytes.size());
          where->convert(out.get(), to, in.get(), GetParam(), count, scale, nullptr);
          where->copy(copy.get(), out.get(), size, nullptr);
          where->finish(nullptr);
          Bytes seen(size + 8);
          where->download(seen.data(), copy.get(), size + 8);
          ASSERT_EQ(to_doubles(to, seen.data(), count), expected);
          where->clear(copy.get(), size / 2, nullptr);
          where->finish(nullptr);
          Bytes cleared(size + 8);
          where->download(cleared.data(), copy.get(), size + 8);
          std::fill_n(seen.begin(), size / 2, std::byte{0});
          ASSERT_EQ(cleared, seen);
        }
      }
    }
  }
}

/// A rank that hears that another's sum was not finite takes its step back as it would its own.
TEST_P(DensePath, HearsThatARankIsNotFinite) {
  const std::size_t count = 70'001;
  const Shape shape{.ranks = 1, .count = count, .k = 700, .type = GetParam(), .wire = GetParam()};
  const Vector residual = make_data(Pattern::gaussian, count, accumulator(), 1);
  const Vector gradient = make_data(Pattern::clusters, count, GetParam(), 2);
  Vector bad = gradient;
  bad[40'000] = std::nan("");
  for (const BackendCase& backend : backends()) {
    SCOPED_TRACE(backend.name);
    for (const bool own : {false, true}) {
      Rig rig(backend, plan_of(shape));
      rig.set_residual(residual);
      rig.accumulate(own ? bad : gradient);
      EXPECT_EQ(rig.tell_finite(), own ? 1u : 0u);
      rig.hear_finite({0, own ? 1u : 7u, 0});  // whatever is not 0
      rig.select();
      rig.pack();
      EXPECT_EQ(rig.flags(0), packet_non_finite);
      EXPECT_EQ(rig.entries(0), 0u);
      EXPECT_EQ(rig.check().kind, Verdict::Kind::non_finite);
      rig.restore();
      const Vector after = rig.residual();
      for (std::size_t i = 0; i < count; ++i) {
        const double most = std::max(
            {std::fabs(residual[i]), std::fabs(gradient[i]), std::fabs(residual[i] + gradient[i])});
        ASSERT_LE(std::fabs(after[i] - residual[i]), ulp(accumulator(), most)) << i;
      }
    }
    Rig rig(backend, plan_of(shape));
    rig.accumulate(gradient);
    rig.hear_finite({0, 0, 0});
    rig.select();
    rig.pack();
    EXPECT_EQ(rig.flags(0), 0u);
    EXPECT_EQ(rig.entries(0), shape.k);
  }
}

INSTANTIATE_TEST_SUITE_P(Types, DensePath, testing::ValuesIn(floating_types),
                         [](const auto& test) { return std::string(name_of(test.param)); });

}  // namespace
}  // namespace sparccl::test
