#include "descent.hpp"

#include <sparccl/sparccl.hpp>

#include <algorithm>
#include <exception>
#include <iterator>
#include <mutex>
#include <numeric>
#include <optional>
#include <span>
#include <thread>

namespace regression {
namespace {

template <class T>
using Vector = Eigen::Matrix<T, Eigen::Dynamic, 1>;

/// What was sent has left no residual: values travel as they are.
template <class T>
void note_sent(const T* residual, std::size_t count, std::vector<std::uint8_t>& sent) {
  std::transform(residual, residual + count, std::back_inserter(sent),
                 [](T left) -> std::uint8_t { return left == 0 ? 1 : 0; });
}

/// One worker's loop. The first one keeps the record.
template <class T>
void work(const Problem& problem, const Setting& setting, sparccl::Communicator communicator,
          Course& course) {
  const auto count = static_cast<std::size_t>(problem.shape().weights);
  std::optional<sparccl::SparseAllreduce> tensor;
  if (setting.method != Method::dense) {
    // As many as the reference takes: rounded down.
    const auto k = static_cast<std::uint64_t>(setting.density * static_cast<double>(count));
    tensor.emplace(communicator, "weights", count, setting.type,
                   sparccl::Options{.k = std::max<std::uint64_t>(1, k),
                                    .mu = setting.method == Method::topk ? 0.0 : setting.mu,
                                    .reduction = sparccl::Reduction::avg});
  }
  Vector<T> weights = problem.start().cast<T>();
  Vector<T> mean(problem.shape().weights);
  for (std::size_t round = 0; round < setting.rounds; ++round) {
    const Vector<T> gradient =
        problem.gradient(communicator.rank(), weights.template cast<double>()).template cast<T>();
    if (setting.method == Method::regtopk && setting.late_mu > 0 && round == setting.late_from) {
      tensor->set_mu(setting.late_mu);
    }
    if (tensor) {
      (*tensor)(std::span<const T>(gradient.data(), count), std::span<T>(mean.data(), count));
    } else {
      communicator.all_reduce(gradient.data(), mean.data(), count, setting.type,
                              sparccl::Reduction::avg);
    }
    if (tensor && round + watched_rounds >= setting.rounds) {
      note_sent(static_cast<const T*>(tensor->residual()), count,
                course.sent[static_cast<std::size_t>(communicator.rank())]);
    }
    weights -= static_cast<T>(setting.step) * mean;
    if (communicator.rank() == 0) {
      course.gap.push_back((weights.template cast<double>() - problem.best()).squaredNorm());
    }
  }
  if (communicator.rank() != 0) return;
  course.entries_a_round = tensor ? tensor->k() : count;
  course.weights = weights.template cast<double>();
}

}  // namespace

Course descend(const Problem& problem, const Setting& setting) {
  Course course;
  course.sent.resize(static_cast<std::size_t>(problem.shape().workers));
  std::vector<sparccl::Communicator> communicators =
      sparccl::Communicator::local(problem.shape().workers);
  std::mutex mutex;
  std::exception_ptr failure;
  {
    std::vector<std::jthread> threads;
    for (sparccl::Communicator& communicator : communicators) {
      threads.emplace_back([&] {
        try {
          if (setting.type == sparccl::DataType::float32) {
            work<float>(problem, setting, communicator, course);
          } else {
            work<double>(problem, setting, communicator, course);
          }
        } catch (...) {
          {
            const std::lock_guard lock(mutex);  // what the others then throw is no news
            if (!failure) failure = std::current_exception();
          }
          communicator.abort();
        }
      });
    }
  }
  if (failure) std::rethrow_exception(failure);
  return course;
}

double end_of(const Course& course) {
  const auto last = std::span(course.gap).last(std::min<std::size_t>(100, course.gap.size()));
  return std::accumulate(last.begin(), last.end(), 0.0) / static_cast<double>(last.size());
}

}  // namespace regression
