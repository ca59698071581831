// SparseAllreduce as users see it: a thin shell around its insides.
#include <sparccl/sparccl.hpp>

#include "plan.hpp"
#include "sparse_allreduce.hpp"

namespace sparccl {

SparseAllreduce::SparseAllreduce(const Communicator& communicator, std::string name,
                                 std::size_t count, DataType type, const Options& options)
    : impl_(std::make_unique<Impl>(communicator.impl(), std::move(name), count, type, options)) {}

SparseAllreduce::~SparseAllreduce() = default;
SparseAllreduce::SparseAllreduce(SparseAllreduce&&) noexcept = default;
SparseAllreduce& SparseAllreduce::operator=(SparseAllreduce&&) noexcept = default;

void SparseAllreduce::operator()(const void* gradient, void* result, double loss_scale,
                                 Stream stream) {
  impl_->run(gradient, loss_scale, stream,
             {.dense = result, .reduction = impl_->options().reduction});
}

std::size_t SparseAllreduce::sparse(const void* gradient, std::uint64_t* positions, void* values,
                                    double loss_scale, Stream stream) {
  if (positions == nullptr) {
    throw Error(Result::invalid_argument, about(name()) + "positions: expected " +
                                              impl_->communicator().backend().memory_name() +
                                              ", found a null pointer");
  }
  return impl_->run(
      gradient, loss_scale, stream,
      {.positions = positions, .values = values, .reduction = impl_->options().reduction});
}

std::size_t SparseAllreduce::sparse_capacity() const noexcept {
  return impl_->plan().sparse_capacity();
}

void SparseAllreduce::set_density(double density) {
  Options options = impl_->options();
  options.density = density;
  options.k.reset();
  impl_->set_options(options);
}

void SparseAllreduce::set_k(std::uint64_t k) {
  Options options = impl_->options();
  options.k = k;
  impl_->set_options(options);
}

void SparseAllreduce::set_mu(double mu) {
  Options options = impl_->options();
  options.mu = mu;
  impl_->set_options(options);
}

void SparseAllreduce::set_path(Path path) {
  Options options = impl_->options();
  options.path = path;
  impl_->set_options(options);
}

std::uint64_t SparseAllreduce::k() const noexcept { return impl_->plan().k; }
std::size_t SparseAllreduce::count() const noexcept { return impl_->plan().count; }
const std::string& SparseAllreduce::name() const noexcept { return impl_->name(); }
Stats SparseAllreduce::stats() const { return impl_->stats(); }
const void* SparseAllreduce::residual() const noexcept { return impl_->memory().residual; }
void SparseAllreduce::save(const std::filesystem::path& path) const { impl_->save(path); }
void SparseAllreduce::load(const std::filesystem::path& path) { impl_->load(path); }

void SparseAllreduce::check_span(std::size_t size, DataType type) const {
  const Plan& plan = impl_->plan();
  if (size != plan.count) {
    throw Error(Result::invalid_argument, about(name()) + "size of a span: expected " +
                                              std::to_string(plan.count) + " entries, found " +
                                              std::to_string(size));
  }
  if (type != plan.type) {
    throw Error(Result::invalid_argument, about(name()) + "type of a span: expected " +
                                              name_of(plan.type) + ", found " + name_of(type));
  }
}

}  // namespace sparccl
