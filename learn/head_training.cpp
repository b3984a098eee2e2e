#include "learn/head_training.hpp"

#include "data/error.hpp"
#include "data/progress.hpp"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Context.h>

#include <algorithm>
#include <cmath>
#include <numbers>

namespace tape {
namespace {
constexpr int most_out_of_range = 20;
}

at::Device head_device(std::string const& name) {
    if (name == "cpu") return at::kCPU;
    if (name != "auto" && name != "cuda") throw usage_error{"unknown device `" + name + "`; give auto, cpu or cuda"};
    if (at::hasCUDA()) return at::Device{at::kCUDA, 0};
    if (name == "cuda")
        throw error{"device `cuda` was asked for, but this LibTorch sees no CUDA device; use --device cpu"};
    return at::kCPU;
}

at::ScalarType head_compute_type(at::Device const& device) {
    if (device.is_cuda()) return at::kBFloat16;
#if defined(__x86_64__) && defined(__GNUC__)
    if (__builtin_cpu_supports("avx512bf16")) return at::kBFloat16;
#endif
    return at::kFloat;
}

HeadParameters::HeadParameters(std::uint64_t seed, at::Device device)
    : generator_{at::detail::createCPUGenerator(seed)}, random_{seed}, device_{device} {}

at::Tensor HeadParameters::draw(std::vector<std::int64_t> const& shape, double deviation) {
    at::Tensor values = at::empty(shape, at::kFloat).normal_(0, deviation, generator_).to(device_);
    tensors_.push_back(values.requires_grad_());
    return tensors_.back();
}

at::Tensor HeadParameters::constant(std::vector<std::int64_t> const& shape, double value) {
    tensors_.push_back(at::full(shape, value, at::TensorOptions{at::kFloat}.device(device_)).requires_grad_());
    return tensors_.back();
}

at::Tensor HeadParameters::dropout(std::vector<std::int64_t> const& shape, double probability, at::ScalarType type) {
    // A byte a value: several times faster than Tensor::bernoulli_, which was a third of a training step.
    at::Tensor const mask = at::empty(shape, at::kFloat);
    double const threshold = std::round(probability * 256);
    auto const kept = static_cast<float>(256 / (256 - threshold));
    auto const limit = static_cast<std::uint32_t>(threshold);
    float* out = mask.data_ptr<float>();
    for (std::int64_t begin = 0, size = mask.numel(); begin < size; begin += 8) {
        std::uint64_t bits = random_();
        for (std::int64_t k = begin; k < std::min(begin + 8, size); ++k, bits >>= 8)
            out[k] = kept * static_cast<float>(static_cast<std::uint32_t>(bits & 255) >= limit);
    }
    return mask.to(type).to(device_);
}

std::vector<at::Tensor> HeadParameters::snapshot() const {
    std::vector<at::Tensor> saved;
    for (auto const& tensor : tensors_) saved.push_back(tensor.detach().clone());
    return saved;
}

void HeadParameters::restore(std::vector<at::Tensor> const& saved) {
    at::NoGradGuard const no_gradient;
    for (std::size_t k = 0; k < tensors_.size(); ++k) tensors_[k].copy_(saved[k]);
}

HeadOptimiser::HeadOptimiser(std::vector<at::Tensor> parameters, double rate, std::int64_t steps)
    : parameters_{std::move(parameters)}, adam_{parameters_, torch::optim::AdamWOptions{rate}.weight_decay(0.01)},
      rate_{rate}, steps_{std::max<std::int64_t>(1, steps)} {}

void HeadOptimiser::step(at::Tensor const& loss) {
    double const share = static_cast<double>(done_++) / static_cast<double>(steps_);
    double const warm = std::min(1.0, (share + 1.0 / static_cast<double>(steps_)) / 0.05);
    double const cosine = 0.5 * (1 + std::cos(std::numbers::pi * std::min(1.0, share)));
    static_cast<torch::optim::AdamWOptions&>(adam_.param_groups()[0].options())
        .lr(rate_ * warm * (0.05 + 0.95 * cosine));
    adam_.zero_grad();
    loss.backward();
    {
        at::NoGradGuard const no_gradient;
        at::Tensor square = at::zeros({}, loss.options().dtype(at::kFloat));
        for (auto const& parameter : parameters_)
            if (parameter.grad().defined()) square.add_(parameter.grad().square().sum());
        if (!std::isfinite(square.item<float>())) {
            if (++out_of_range_ < most_out_of_range) return;
            throw error{"the head's training diverged: no finite gradient in " + std::to_string(out_of_range_) +
                        " steps in a row, at step " + std::to_string(done_) + " of " + std::to_string(steps_)};
        }
        out_of_range_ = 0;
        at::Tensor const scale = at::clamp_max(at::rsqrt(square + 1e-12), 1.0);
        for (auto const& parameter : parameters_)
            if (parameter.grad().defined()) parameter.mutable_grad().mul_(scale);
    }
    adam_.step();
}

std::string EpochResult::in_words() const {
    return "best epoch " + std::to_string(best_epoch) + " of " + std::to_string(epochs);
}

EpochResult train_epochs(HeadParameters& parameters, EpochPlan const& plan, std::function<void()> const& pass,
                         std::function<double()> const& score) {
    Progress progress{plan.name, static_cast<std::uint64_t>(plan.epochs), "epochs", plan.quiet};
    EpochResult result;
    auto best = parameters.snapshot();
    while (result.epochs < plan.epochs && result.epochs - result.best_epoch < plan.patience) {
        ++result.epochs;
        pass();
        progress.advance();
        double const reached = score ? score() : 0;
        if (result.best_epoch != 0 && score && reached <= result.score) continue;
        result.score = reached, result.best_epoch = result.epochs;
        best = parameters.snapshot();
    }
    parameters.restore(best);
    return result;
}

} // namespace tape
