#include "learn/adamw.hpp"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/_fused_adamw.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/full.h>
#include <ATen/ops/zeros_like.h>

#include <cmath>

namespace tape {

std::vector<at::Tensor> AdamW::parts_of(Group const& group, at::Tensor const& all) {
    std::vector<at::Tensor> parts;
    std::int64_t begin = 0;
    for (auto const& part : group.parts) {
        parts.push_back(all.narrow(0, begin, part.numel()).view(part.sizes()));
        begin += part.numel();
    }
    return parts;
}

AdamW::AdamW(std::vector<Parameter> parameters, Options const& options)
    : options_{options}, groups_{{options.weight_decay, {}, {}, {}, {}, {}, {}}, {0.0, {}, {}, {}, {}, {}, {}}} {
    at::NoGradGuard const no_gradients;
    for (auto& [name, value, decays] : parameters) {
        Group& group = groups_[decays ? 0 : 1];
        group.names.push_back(name), group.parts.push_back(value);
    }
    for (auto& group : groups_) {
        std::vector<at::Tensor> flat;
        for (auto const& part : group.parts) flat.push_back(part.detach().flatten());
        group.values = at::cat(flat);
        for (auto* other : {&group.gradients, &group.first, &group.second}) *other = at::zeros_like(group.values);
        auto const values = parts_of(group, group.values), gradients = parts_of(group, group.gradients);
        for (std::size_t i = 0; i < group.parts.size(); ++i) {
            group.parts[i].set_data(values[i]);
            group.parts[i].mutable_grad() = gradients[i];
        }
    }
}

at::Tensor AdamW::gradients() const {
    return at::cat({groups_[0].gradients, groups_[1].gradients}).to(at::kCPU, at::kFloat);
}

void AdamW::set_gradients(at::Tensor const& all) {
    std::int64_t begin = 0;
    for (auto& group : groups_) {
        group.gradients.copy_(all.narrow(0, begin, group.gradients.numel()));
        begin += group.gradients.numel();
    }
}

double AdamW::gradient_norm() const {
    double square = 0;
    for (auto const& group : groups_) square += std::pow(group.gradients.norm().item<double>(), 2);
    return std::sqrt(square);
}

void AdamW::scale_gradients(double factor) {
    for (auto& group : groups_) group.gradients.mul_(factor);
}

void AdamW::step(double learning_rate, std::int64_t count) {
    at::NoGradGuard const no_gradients;
    for (auto& group : groups_) {
        auto const when = at::full({}, static_cast<double>(count), group.values.options());
        at::_fused_adamw_({group.values}, {group.gradients}, {group.first}, {group.second}, {}, {when}, learning_rate,
                          options_.beta1, options_.beta2, group.weight_decay, options_.epsilon, false, false);
    }
}

void AdamW::clear_gradients() {
    for (auto& group : groups_) group.gradients.zero_();
}

NamedTensors AdamW::state() const {
    NamedTensors all;
    for (auto const& group : groups_)
        for (auto const& [kind, tensor] :
             {std::pair{"value.", &group.values}, {"first.", &group.first}, {"second.", &group.second}}) {
            auto const parts = parts_of(group, *tensor);
            for (std::size_t i = 0; i < parts.size(); ++i) all[kind + group.names[i]] = parts[i];
        }
    return all;
}

void AdamW::load(WeightReader& saved) {
    at::NoGradGuard const no_gradients;
    for (auto& group : groups_)
        for (auto const& [kind, tensor] :
             {std::pair{"value.", &group.values}, {"first.", &group.first}, {"second.", &group.second}}) {
            auto const parts = parts_of(group, *tensor);
            for (std::size_t i = 0; i < parts.size(); ++i)
                at::Tensor{parts[i]}.copy_(saved.take(kind + group.names[i], parts[i].sizes().vec()));
        }
}

} // namespace tape
