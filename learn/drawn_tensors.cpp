#include "learn/drawn_tensors.hpp"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/ops/full.h>
#include <ATen/ops/normal.h>
#include <ATen/ops/rand.h>

#include <cmath>

namespace tape {

DrawnTensors::DrawnTensors(std::uint64_t seed) : generator_{at::make_generator<at::CPUGeneratorImpl>(seed)} {}

void DrawnTensors::normal(std::string const& name, std::vector<std::int64_t> const& shape, double deviation) {
    tensors_[name] = at::normal(0.0, deviation, shape, generator_, at::TensorOptions{at::kFloat});
}

void DrawnTensors::uniform(std::string const& name, std::vector<std::int64_t> const& shape, double bound) {
    tensors_[name] = at::rand(shape, generator_, at::TensorOptions{at::kFloat}).mul_(2 * bound).sub_(bound);
}

void DrawnTensors::constant(std::string const& name, std::vector<std::int64_t> const& shape, double value) {
    tensors_[name] = at::full(shape, value, at::TensorOptions{at::kFloat});
}

void DrawnTensors::linear(std::string const& name, std::int64_t out, std::int64_t in) {
    double const bound = 1 / std::sqrt(static_cast<double>(in));
    uniform(name + ".weight", {out, in}, bound), uniform(name + ".bias", {out}, bound);
}

void DrawnTensors::normal_linear(std::string const& name, std::int64_t out, std::int64_t in, double deviation) {
    normal(name + ".weight", {out, in}, deviation), constant(name + ".bias", {out}, 0);
}

void DrawnTensors::norm(std::string const& name, std::int64_t width) {
    constant(name + ".weight", {width}, 1), constant(name + ".bias", {width}, 0);
}

} // namespace tape
