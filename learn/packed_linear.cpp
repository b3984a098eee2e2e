#include "learn/packed_linear.hpp"

#include "learn/device.hpp"
#include "learn/row_kernels.hpp"

#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/ops/gelu.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/zeros.h>

namespace tape {
namespace {

// LibTorch's operators for weights in oneDNN's layout, which torch.compile uses; they have no C++ header.
constexpr char const* reorder_name = "mkldnn::_reorder_linear_weight";
constexpr char const* product_name = "mkldnn::_linear_pointwise";
constexpr std::int64_t usual_rows = 1024; // what the layout is chosen for

std::optional<c10::OperatorHandle> operator_named(char const* name) {
    return c10::Dispatcher::singleton().findSchema({name, ""});
}

bool can_reorder(at::Tensor const& weight, at::ScalarType type) {
    if (!weight.is_cpu() || !at::globalContext().hasMKLDNN() || !at::globalContext().userEnabledMkldnn()) return false;
    if (type == at::kBFloat16 && !multiplies_bfloat16(at::kCPU)) return false;
    return operator_named(reorder_name) && operator_named(product_name);
}

at::Tensor call(char const* name, std::vector<c10::IValue> stack) {
    operator_named(name)->callBoxed(&stack);
    return stack.front().toTensor();
}

} // namespace

std::int64_t padded_rows(std::int64_t rows) {
    std::int64_t const step = rows <= 8 ? 1 : rows <= 128 ? 16 : 64;
    return (rows + step - 1) / step * step;
}

PackedLinear::PackedLinear(at::Tensor const& weight, at::Tensor const& bias, at::ScalarType type)
    : weight_{weight.detach().to(type)}, bias_{bias.defined() ? bias.detach().to(type) : bias}, type_{type},
      reordered_{can_reorder(weight, type)} {
    if (reordered_) weight_ = call(reorder_name, {weight_.contiguous(), usual_rows});
}

at::Tensor PackedLinear::product(at::Tensor const& x, Then then) const {
    c10::List<std::optional<at::Scalar>> const none;
    static std::string const gelu = "gelu", no_gelu = "none", with_erf = "none", empty;
    bool const last = then == Then::nothing;
    c10::IValue const bias = bias_.defined() ? c10::IValue{bias_} : c10::IValue{};
    return call(product_name, {x, weight_, bias, last ? no_gelu : gelu, none, last ? empty : with_erf});
}

at::Tensor PackedLinear::operator()(at::Tensor const& x, Then then) const {
    at::Tensor const input = x.to(type_);
    if (!reordered_) {
        at::Tensor const out = at::linear(input, weight_, bias_);
        return then == Then::gelu ? at::gelu(out) : out;
    }
    auto shape = x.sizes().vec();
    at::Tensor flat = input.reshape({-1, shape.back()}).contiguous();
    std::int64_t const rows = flat.size(0), padded = padded_rows(rows);
    if (padded != rows) {
        at::Tensor const wider = at::zeros({padded, flat.size(1)}, flat.options());
        wider.slice(0, 0, rows).copy_(flat);
        flat = wider;
    }
    at::Tensor const out = product(flat, then).slice(0, 0, rows);
    shape.back() = out.size(1);
    return out.view(shape);
}

namespace {

template <typename Value>
void normalise_all(at::Tensor const& x, at::Tensor const& delta, NormWeights norm, double epsilon, bool replace,
                   at::Tensor const& out) {
    auto const width = static_cast<std::size_t>(x.size(1));
    at::parallel_for(0, x.size(0), 64, [&](std::int64_t begin, std::int64_t end) {
        auto const first = static_cast<std::size_t>(begin) * width;
        add_and_normalise(NormRows<Value>{
            .x = x.mutable_data_ptr<float>() + first,
            .delta = delta.defined() ? static_cast<Value const*>(delta.const_data_ptr()) + first : nullptr,
            .weight = norm.weight.const_data_ptr<float>(),
            .bias = norm.bias.const_data_ptr<float>(),
            .epsilon = epsilon,
            .normed = static_cast<Value*>(out.mutable_data_ptr()) + first,
            .replace = replace,
            .rows = static_cast<std::size_t>(end - begin),
            .width = width});
    });
}

} // namespace

void add_and_normalise(at::Tensor const& x, at::Tensor const& delta, NormWeights norm, double epsilon,
                       at::Tensor const& normed, bool replace) {
    at::Tensor const rows = delta.defined() ? delta.contiguous() : delta;
    if (normed.scalar_type() == at::kFloat)
        normalise_all<float>(x, rows, norm, epsilon, replace, normed);
    else
        normalise_all<BFloat16Bits>(x, rows, norm, epsilon, replace, normed);
}

} // namespace tape
