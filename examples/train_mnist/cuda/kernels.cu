#include "cuda/kernels.hpp"

#include "cuda/launch_each.hpp"

namespace mnist::cuda {
namespace {

__device__ std::size_t own_item() {
  return static_cast<std::size_t>(blockIdx.x) * blockDim.x + threadIdx.x;
}

__global__ void gather_kernel(std::size_t size, const std::uint8_t* pixels,
                              const std::uint32_t* images, std::size_t columns, float* inputs) {
  const std::size_t i = own_item();
  if (i >= size) return;
  const std::size_t row = i / columns;
  const std::size_t image = images == nullptr ? row : images[row];
  inputs[i] = static_cast<float>(pixels[image * columns + i % columns]) * (1.0F / 255.0F);
}

__global__ void add_bias_kernel(std::size_t size, float* values, const float* bias,
                                std::size_t columns, bool relu) {
  const std::size_t i = own_item();
  if (i >= size) return;
  const float sum = values[i] + bias[i % columns];
  values[i] = relu && sum < 0 ? 0.0F : sum;  // a NaN stays one
}

__global__ void softmax_gradient_kernel(std::size_t rows, float* scores, const std::uint8_t* labels,
                                        const std::uint32_t* images, std::size_t columns,
                                        float scale, double* losses) {
  const std::size_t row = own_item();
  if (row >= rows) return;
  float* const own = scores + row * columns;
  const std::size_t label = labels[images[row]];
  float largest = own[0];
  for (std::size_t j = 1; j < columns; ++j) largest = own[j] > largest ? own[j] : largest;
  const float at_label = own[label] - largest;
  float sum = 0;
  for (std::size_t j = 0; j < columns; ++j) {
    own[j] = expf(own[j] - largest);
    sum += own[j];
  }
  losses[row] += static_cast<double>(logf(sum) - at_label);
  for (std::size_t j = 0; j < columns; ++j) {
    own[j] = (own[j] / sum - (j == label ? 1.0F : 0.0F)) * scale;
  }
}

__global__ void relu_gradient_kernel(std::size_t size, float* delta, const float* activations) {
  const std::size_t i = own_item();
  if (i < size && !(activations[i] > 0)) delta[i] = 0.0F;
}

__global__ void sum_rows_kernel(std::size_t columns, const float* values, std::size_t rows,
                                float* sums) {
  const std::size_t j = own_item();
  if (j >= columns) return;
  float sum = 0;
  for (std::size_t row = 0; row < rows; ++row) sum += values[row * columns + j];
  sums[j] = sum;
}

__global__ void compare_kernel(std::size_t rows, const float* scores, const std::uint8_t* labels,
                               std::size_t columns, std::uint8_t* hits) {
  const std::size_t row = own_item();
  if (row >= rows) return;
  const float* const own = scores + row * columns;
  std::size_t best = 0;
  for (std::size_t j = 1; j < columns; ++j) best = own[j] > own[best] ? j : best;
  hits[row] = best == labels[row] ? 1 : 0;
}

__global__ void descend_kernel(std::size_t size, float* parameters, const float* gradient,
                               float rate) {
  const std::size_t i = own_item();
  if (i < size) parameters[i] -= rate * gradient[i];
}

__global__ void take_back_kernel(std::size_t size, float* parameters, const float* before,
                                 float* gradient, float rate) {
  const std::size_t i = own_item();
  if (i >= size) return;
  gradient[i] = (before[i] - parameters[i]) / rate;
  parameters[i] = before[i];
}

}  // namespace

void gather(const std::uint8_t* pixels, const std::uint32_t* images, Shape shape, float* inputs,
            cudaStream_t stream) {
  launch_each(shape.size(), stream, gather_kernel, pixels, images, shape.columns, inputs);
}

void add_bias(float* values, const float* bias, Shape shape, bool relu, cudaStream_t stream) {
  launch_each(shape.size(), stream, add_bias_kernel, values, bias, shape.columns, relu);
}

void softmax_gradient(float* scores, const std::uint8_t* labels, const std::uint32_t* images,
                      Shape shape, float scale, double* losses, cudaStream_t stream) {
  launch_each(shape.rows, stream, softmax_gradient_kernel, scores, labels, images, shape.columns,
              scale, losses);
}

void relu_gradient(float* delta, const float* activations, Shape shape, cudaStream_t stream) {
  launch_each(shape.size(), stream, relu_gradient_kernel, delta, activations);
}

void sum_rows(const float* values, Shape shape, float* sums, cudaStream_t stream) {
  launch_each(shape.columns, stream, sum_rows_kernel, values, shape.rows, sums);
}

void compare(const float* scores, const std::uint8_t* labels, Shape shape, std::uint8_t* hits,
             cudaStream_t stream) {
  launch_each(shape.rows, stream, compare_kernel, scores, labels, shape.columns, hits);
}

void descend(float* parameters, const float* gradient, float rate, std::size_t size,
             cudaStream_t stream) {
  launch_each(size, stream, descend_kernel, parameters, gradient, rate);
}

void take_back(float* parameters, const float* before, float* gradient, float rate,
               std::size_t size, cudaStream_t stream) {
  launch_each(size, stream, take_back_kernel, parameters, before, gradient, rate);
}

}  // namespace mnist::cuda
