#include "probe_clock.hpp"

namespace sparccl {
namespace {

std::size_t ranks_of(Communicator::Impl& communicator) {
  return static_cast<std::size_t>(communicator.transport().size());
}

}  // namespace

ProbeClock::ProbeClock(Communicator::Impl& communicator, Stream stream)
    : communicator_(communicator),
      stream_(stream),
      slots_(communicator.backend().allocate(ranks_of(communicator) * most * sizeof(double))),
      copies_(ranks_of(communicator) * most) {}

void ProbeClock::exchange(std::span<const double> figures) {
  Backend& backend = communicator_.backend();
  Transport& transport = communicator_.transport();
  auto* const slots = static_cast<double*>(slots_.get());
  backend.upload(slots + static_cast<std::size_t>(transport.rank()) * most, figures.data(),
                 figures.size_bytes());
  transport.meet(slots, most * sizeof(double), stream_);
  backend.finish(stream_);
  backend.download(copies_.data(), slots, copies_.size() * sizeof(double));
}

template <class Pick>
void ProbeClock::pick(std::span<double> figures, const Pick& pick) {
  exchange(figures);
  for (std::size_t i = 0; i < copies_.size(); ++i) {
    if (i % most < figures.size()) figures[i % most] = pick(figures[i % most], copies_[i]);
  }
}

void ProbeClock::slowest(std::span<double> figures) {
  pick(figures, [](double a, double b) { return std::max(a, b); });
}

void ProbeClock::least(std::span<double> figures) {
  pick(figures, [](double a, double b) { return std::min(a, b); });
}

std::vector<double> ProbeClock::gather(double figure) {
  exchange(std::span<const double>(&figure, 1));
  std::vector<double> all;
  for (std::size_t i = 0; i < copies_.size(); i += most) all.push_back(copies_[i]);
  return all;
}

}  // namespace sparccl
