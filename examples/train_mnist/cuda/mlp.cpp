#include "cuda/mlp.hpp"

#include <algorithm>
#include <limits>
#include <numeric>
#include <stdexcept>

namespace mnist::cuda {
namespace {

/// How many test images are classified at a time.
constexpr std::size_t test_rows = 1024;

struct Operand {
  const float* data;
  std::size_t row_length;
  bool transposed = false;
};

/// to = a * b, [rows][columns] over `inner`, all row-major. cuBLAS takes column-major matrices: to
/// it, each of these is its transpose, and what it is asked for is b' a'. Its default is FP32.
void multiply(const Blas& blas, Shape to_shape, std::size_t inner, Operand a, Operand b,
              float* to) {
  const float one = 1;
  const float zero = 0;
  const auto as_int = [](std::size_t size) { return static_cast<int>(size); };
  const auto operation = [](const Operand& x) { return x.transposed ? CUBLAS_OP_T : CUBLAS_OP_N; };
  check(cublasSgemm(blas.get(), operation(b), operation(a), as_int(to_shape.columns),
                    as_int(to_shape.rows), as_int(inner), &one, b.data, as_int(b.row_length),
                    a.data, as_int(a.row_length), &zero, to, as_int(to_shape.columns)));
}

template <class T>
DeviceArray<T> uploaded(const std::vector<T>& values, cudaStream_t stream) {
  DeviceArray<T> array(values.size());
  copy(array.data(), values.data(), values.size(), stream);
  check(cudaStreamSynchronize(stream));  // values may be gone after this
  return array;
}

template <class T>
std::vector<T> downloaded(const T* values, std::size_t size, cudaStream_t stream) {
  std::vector<T> copied(size);
  copy(copied.data(), values, size, stream);
  check(cudaStreamSynchronize(stream));
  return copied;
}

std::vector<float> initial(const Network& network, std::uint64_t seed) {
  std::vector<float> parameters(network.parameter_count);
  initialise(network, seed, parameters);
  return parameters;
}

}  // namespace

Mlp::Images::Images(const Dataset& data, cudaStream_t stream)
    : pixels(uploaded(data.pixels, stream)), labels(uploaded(data.labels, stream)) {}

Mlp::Mlp(const Network& network, const Data& data, std::uint64_t seed, cudaStream_t stream)
    : network_(network),
      stream_(stream),
      blas_(stream),
      train_(data.train, stream),
      test_(data.test, stream),
      parameters_(uploaded(initial(network, seed), stream)),
      gradient_(network.parameter_count),
      activations_(network.layers()) {
  if (data.train.size() > std::numeric_limits<std::uint32_t>::max()) {
    throw std::runtime_error("--backend cuda: expected fewer than 2^32 training images");
  }
}

void Mlp::reserve(std::size_t rows) {
  if (rows <= rows_) return;
  rows_ = rows;
  inputs_ = DeviceArray<float>(rows * network_.inputs(0));
  std::size_t widest = 0;
  for (std::size_t l = 0; l < network_.layers(); ++l) {
    activations_[l] = DeviceArray<float>(output_of(l, rows).size());
    if (!network_.is_last(l)) widest = std::max(widest, network_.outputs(l));
  }
  delta_ = DeviceArray<float>(rows * widest);
  delta_below_ = DeviceArray<float>(rows * widest);
}

void Mlp::send(std::span<const std::size_t> images) {
  if (images.size() > losses_.size()) {
    if (steps_ > 0) throw std::logic_error("Mlp: expected no more images than in the first step");
    images_ = DeviceArray<std::uint32_t>(images.size());
    for (Slot& slot : slots_) slot.images = PinnedArray<std::uint32_t>(images.size());
    losses_ = DeviceArray<double>(images.size());
    check(cudaMemsetAsync(losses_.data(), 0, images.size() * sizeof(double), stream_));
  }
  Slot& slot = slots_[steps_++ % slots];
  slot.sent.wait();
  std::ranges::transform(images, slot.images.data(),
                         [](std::size_t image) { return static_cast<std::uint32_t>(image); });
  copy(images_.data(), slot.images.data(), images.size(), stream_);
  slot.sent.record(stream_);
}

void Mlp::forward(std::size_t rows) {
  const float* below = inputs_.data();
  for (std::size_t l = 0; l < network_.layers(); ++l) {
    const std::size_t in = network_.inputs(l);
    const Shape shape = output_of(l, rows);
    const float* const weights = parameters_.data() + network_.weights(l);
    float* const output = activations_[l].data();
    multiply(blas_, shape, in, {below, in}, {weights, in, true}, output);
    add_bias(output, parameters_.data() + network_.biases(l), shape, !network_.is_last(l), stream_);
    below = output;
  }
}

void Mlp::backward(std::span<const std::size_t> images, float scale) {
  const std::size_t rows = images.size();
  reserve(rows);
  send(images);
  gather(train_.pixels.data(), images_.data(), {rows, network_.inputs(0)}, inputs_.data(), stream_);
  forward(rows);

  const std::size_t last = network_.layers() - 1;
  float* delta = activations_[last].data();
  softmax_gradient(delta, train_.labels.data(), images_.data(), output_of(last, rows), scale,
                   losses_.data(), stream_);
  for (std::size_t l = last + 1; l-- > 0;) {
    const std::size_t in = network_.inputs(l);
    const std::size_t out = network_.outputs(l);
    const float* const below = l == 0 ? inputs_.data() : activations_[l - 1].data();
    multiply(blas_, {out, in}, rows, {delta, out, true}, {below, in},
             gradient_.data() + network_.weights(l));
    sum_rows(delta, {rows, out}, gradient_.data() + network_.biases(l), stream_);
    if (l == 0) break;
    const float* const weights = parameters_.data() + network_.weights(l);
    float* const delta_below = delta_below_.data();
    multiply(blas_, {rows, in}, out, {delta, out}, {weights, in}, delta_below);
    relu_gradient(delta_below, below, {rows, in}, stream_);
    std::swap(delta_, delta_below_);
    delta = delta_below;
  }
}

void Mlp::descend(float rate) {
  cuda::descend(parameters_.data(), gradient_.data(), rate, parameters_.size(), stream_);
}

void Mlp::begin_local() {
  if (before_.size() == 0) before_ = DeviceArray<float>(parameters_.size());
  copy(before_.data(), parameters_.data(), parameters_.size(), stream_);
}

void Mlp::end_local(float rate) {
  take_back(parameters_.data(), before_.data(), gradient_.data(), rate, parameters_.size(),
            stream_);
}

double Mlp::take_loss() {
  const std::vector<double> losses = downloaded(losses_.data(), losses_.size(), stream_);
  check(cudaMemsetAsync(losses_.data(), 0, losses_.size() * sizeof(double), stream_));
  return std::accumulate(losses.begin(), losses.end(), 0.0);
}

std::size_t Mlp::count_correct(std::size_t first, std::size_t last) {
  const std::size_t images = last - first;
  reserve(std::min(images, test_rows));
  if (hits_.size() < images) hits_ = DeviceArray<std::uint8_t>(images);
  const std::size_t last_layer = network_.layers() - 1;
  for (std::size_t done = 0; done < images;) {
    const std::size_t rows = std::min(images - done, test_rows);
    const std::size_t width = network_.inputs(0);
    gather(test_.pixels.data() + (first + done) * width, nullptr, {rows, width}, inputs_.data(),
           stream_);
    forward(rows);
    compare(activations_[last_layer].data(), test_.labels.data() + first + done,
            output_of(last_layer, rows), hits_.data() + done, stream_);
    done += rows;
  }
  const std::vector<std::uint8_t> hits = downloaded(hits_.data(), images, stream_);
  return std::accumulate(hits.begin(), hits.end(), std::size_t{0});
}

std::vector<float> Mlp::parameters() {
  return downloaded(parameters_.data(), parameters_.size(), stream_);
}

}  // namespace mnist::cuda
