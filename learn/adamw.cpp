#include "learn/adamw.hpp"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/_fused_adamw.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/full.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/zeros_like.h>

namespace tape {

AdamW::AdamW(std::vector<Transformer::Parameter> parameters, Options const& options)
    : options_{options}, groups_{{options.weight_decay, {}, {}, {}, {}}, {0.0, {}, {}, {}, {}}} {
    for (auto& [name, value, decays] : parameters) {
        Group& group = groups_[decays ? 0 : 1];
        group.names.push_back(name);
        group.values.push_back(value);
        group.first.push_back(at::zeros_like(value)), group.second.push_back(at::zeros_like(value));
    }
}

at::Tensor AdamW::gradients() const {
    std::vector<at::Tensor> parts;
    for (auto const& group : groups_)
        for (auto const& value : group.values)
            parts.push_back((value.grad().defined() ? value.grad() : at::zeros_like(value)).flatten());
    return at::cat(parts).to(at::kCPU, at::kFloat).contiguous();
}

void AdamW::set_gradients(at::Tensor const& all) {
    std::int64_t begin = 0;
    for (auto& group : groups_)
        for (auto& value : group.values) {
            value.mutable_grad() = all.narrow(0, begin, value.numel()).view(value.sizes()).to(value.device());
            begin += value.numel();
        }
}

double AdamW::gradient_norm() const {
    std::vector<at::Tensor> norms;
    for (auto const& group : groups_)
        for (auto const& value : group.values) norms.push_back(value.grad().norm());
    return at::stack(norms).norm().item<double>();
}

void AdamW::scale_gradients(double factor) {
    for (auto const& group : groups_)
        for (auto const& value : group.values) at::Tensor{value.grad()}.mul_(factor);
}

void AdamW::step(double learning_rate, std::int64_t count) {
    at::NoGradGuard const no_gradients;
    for (auto& group : groups_) {
        std::vector<at::Tensor> gradients;
        for (auto const& value : group.values) gradients.push_back(value.grad());
        auto const when = at::full({}, static_cast<double>(count), group.values.front().options().requires_grad(false));
        std::vector<at::Tensor> const counts(group.values.size(), when);
        at::_fused_adamw_(group.values, gradients, group.first, group.second, {}, counts, learning_rate, options_.beta1,
                          options_.beta2, group.weight_decay, options_.epsilon, false, false);
    }
}

void AdamW::clear_gradients() {
    for (auto& group : groups_)
        for (auto& value : group.values) value.mutable_grad() = at::Tensor{};
}

NamedTensors AdamW::state() const {
    NamedTensors all;
    for (auto const& group : groups_)
        for (std::size_t i = 0; i < group.names.size(); ++i) {
            all["value." + group.names[i]] = group.values[i];
            all["first." + group.names[i]] = group.first[i];
            all["second." + group.names[i]] = group.second[i];
        }
    return all;
}

void AdamW::load(WeightReader& saved) {
    at::NoGradGuard const no_gradients;
    for (auto& group : groups_)
        for (std::size_t i = 0; i < group.names.size(); ++i) {
            auto const shape = group.values[i].sizes().vec();
            group.values[i].copy_(saved.take("value." + group.names[i], shape));
            group.first[i].copy_(saved.take("first." + group.names[i], shape));
            group.second[i].copy_(saved.take("second." + group.names[i], shape));
        }
}

} // namespace tape
