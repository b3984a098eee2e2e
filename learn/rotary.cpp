#include "learn/rotary.hpp"

#include <ATen/Dispatch.h>
#include <ATen/Parallel.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/stack.h>
#include <torch/csrc/autograd/custom_function.h>

#include <cstring>

namespace tape {
namespace {

template <typename Scalar>
void rotate_head(Scalar const* in, Scalar* out, float const* cos, float const* sin, float direction,
                 std::int64_t half) {
    for (std::int64_t i = 0; i < half; ++i) {
        float const a = static_cast<float>(in[i]), b = static_cast<float>(in[i + half]);
        float const s = direction * sin[i];
        out[i] = static_cast<Scalar>(a * cos[i] - b * s);
        out[i + half] = static_cast<Scalar>(b * cos[i] + a * s);
    }
}

template <typename Scalar>
void rotate_on_cpu(at::Tensor const& in, at::Tensor const& out, at::Tensor const& cos, at::Tensor const& sin,
                   float direction) {
    std::int64_t const length = in.size(1), heads = in.size(3), size = in.size(4), half = size / 2,
                       token = 3 * heads * size;
    auto const* const source = in.const_data_ptr<Scalar>();
    auto* const target = out.mutable_data_ptr<Scalar>();
    auto const* const cosines = cos.const_data_ptr<float>();
    auto const* const sines = sin.const_data_ptr<float>();
    at::parallel_for(0, in.size(0) * length, 64, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t row = begin; row < end; ++row) {
            auto const* const x = source + row * token;
            auto* const y = target + row * token;
            std::int64_t const position = row % length;
            for (std::int64_t head = 0; head < 2 * heads; ++head)
                rotate_head(x + head * size, y + head * size, cosines + position * half, sines + position * half,
                            direction, half);
            std::memcpy(y + 2 * heads * size, x + 2 * heads * size,
                        sizeof(Scalar) * static_cast<std::size_t>(heads * size));
        }
    });
}

at::Tensor rotate_by(at::Tensor const& qkv, at::Tensor const& cos, at::Tensor const& sin, float direction) {
    if (!qkv.is_cpu()) return rotate_reference(qkv, cos, direction < 0 ? sin.neg() : sin);
    at::Tensor const in = qkv.contiguous();
    at::Tensor out = at::empty_like(in);
    if (in.scalar_type() == at::kBFloat16)
        rotate_on_cpu<at::BFloat16>(in, out, cos, sin, direction);
    else
        rotate_on_cpu<float>(in, out, cos, sin, direction);
    return out;
}

/// A rotation's transpose is the rotation backwards.
class Rotation : public torch::autograd::Function<Rotation> {
  public:
    static at::Tensor forward(torch::autograd::AutogradContext* context, at::Tensor const& qkv, at::Tensor const& cos,
                              at::Tensor const& sin) {
        context->save_for_backward({cos, sin});
        return rotate_by(qkv, cos, sin, 1);
    }
    static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                   torch::autograd::variable_list const& gradients) {
        auto const saved = context->get_saved_variables();
        return {rotate_by(gradients[0], saved[0], saved[1], -1), at::Tensor{}, at::Tensor{}};
    }
};

} // namespace

at::Tensor rotate(at::Tensor const& qkv, at::Tensor const& cos, at::Tensor const& sin) {
    at::Tensor const c = cos.slice(0, 0, qkv.size(1)), s = sin.slice(0, 0, qkv.size(1));
    return Rotation::apply(qkv, c, s);
}

at::Tensor rotate_reference(at::Tensor const& qkv, at::Tensor const& cos, at::Tensor const& sin) {
    std::int64_t const length = qkv.size(1), half = qkv.size(4) / 2;
    at::Tensor const c = cos.slice(0, 0, length).view({1, length, 1, 1, half}),
                     s = sin.slice(0, 0, length).view({1, length, 1, 1, half});
    at::Tensor const qk = qkv.slice(2, 0, 2).to(at::kFloat); // B x T x 2 x heads x head_size
    at::Tensor const a = qk.slice(4, 0, half), b = qk.slice(4, half);
    at::Tensor const turned = at::cat({a * c - b * s, b * c + a * s}, 4).to(qkv.scalar_type());
    return at::cat({turned, qkv.slice(2, 2)}, 2);
}

} // namespace tape
