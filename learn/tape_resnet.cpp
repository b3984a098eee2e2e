#include "learn/tape_resnet.hpp"

#include "data/error.hpp"
#include "learn/checkpoint.hpp"
#include "learn/device.hpp"
#include "learn/drawn_tensors.hpp"

#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/constant_pad_nd.h>
#include <ATen/ops/cos.h>
#include <ATen/ops/embedding.h>
#include <ATen/ops/gelu.h>
#include <ATen/ops/layer_norm.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/pow.h>
#include <ATen/ops/sin.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/tanh.h>
#include <c10/core/InferenceMode.h>
#include <nlohmann/json.hpp>

#include <cmath>
#include <cstdio>
#include <limits>

namespace tape {
namespace {

constexpr char const* algorithm_version = "tape-resnet-1";
constexpr double initial_deviation = 0.02;
constexpr double block_epsilon = 1e-12;
constexpr std::int64_t taps = 3;

/// 1 / 10000^(2 i / D), i < D / 2, float32 as the port keeps them (Vaswani et al., NeurIPS 2017).
at::Tensor inverse_frequencies(std::int64_t width) {
    at::Tensor const powers = at::arange(0, width, 2, at::kDouble) / static_cast<double>(width);
    return at::pow(10000.0, powers).reciprocal().to(at::kFloat);
}

/// The weights of a network as ProteinResNetForMaskedLM names and draws them; the output layer is tied to the
/// embedding.
NamedTensors drawn_tensors(TapeResNetConfig const& config, std::int64_t vocabulary, std::uint64_t seed) {
    DrawnTensors drawn{seed};
    std::int64_t const d = config.hidden;
    auto const linear = [&](std::string const& name, std::int64_t out) {
        drawn.normal_linear(name, out, d, initial_deviation);
    };
    drawn.normal("resnet.embeddings.word_embeddings.weight", {vocabulary, d}, initial_deviation);
    drawn.norm("resnet.embeddings.layer_norm", d);
    // He et al., ICCV 2015, by fan-out.
    double const deviation = std::sqrt(2.0 / static_cast<double>(d * taps));
    for (int k = 0; k < config.layers; ++k)
        for (char const* const number : {"1", "2"}) {
            std::string const block = "resnet.encoder.layer." + std::to_string(k) + ".";
            drawn.normal(block + "conv" + number + ".weight", {d, d, taps}, deviation);
            drawn.norm(block + "bn" + number + ".norm", d);
        }
    linear("resnet.pooler.attention_weights", 1);
    linear("resnet.pooler.dense", d);
    linear("mlm.transform.dense", d);
    drawn.norm("mlm.transform.LayerNorm", d);
    drawn.constant("mlm.bias", {vocabulary}, 0);
    return drawn.tensors();
}

} // namespace

bool describes_tape_resnet(nlohmann::json const& json) {
    if (!json.is_object()) return false;
    for (char const* const other : {"model_type", "num_attention_heads", "intermediate_size", "input_size"})
        if (json.contains(other)) return false;
    return json.contains("hidden_size") && json.contains("num_hidden_layers") && json.contains("hidden_act");
}

TapeResNetConfig tape_resnet_config(nlohmann::json const& json, std::string const& origin) {
    if (!json.is_object()) throw data_error{origin + ": not a JSON object"};
    if (json.contains("hidden_act") && json.at("hidden_act") != "gelu")
        throw data_error{origin + ": the ResNet's 'hidden_act' must be \"gelu\"; found " +
                         json.at("hidden_act").dump()};
    TapeResNetConfig config{.hidden = positive_field(json, "hidden_size", origin),
                            .layers = positive_field(json, "num_hidden_layers", origin)};
    if (json.contains("layer_norm_eps") && json.at("layer_norm_eps").is_number())
        config.norm_epsilon = json.at("layer_norm_eps");
    if (config.hidden % 2 != 0)
        throw data_error{origin + ": 'hidden_size' " + std::to_string(config.hidden) +
                         " is odd; sine and cosine share it equally"};
    return config;
}

TapeResNetEncoder::TapeResNetEncoder(std::filesystem::path const& model, std::optional<std::uint64_t> seed,
                                     Options const& options)
    : VocabularyEncoder{options, BertVocabulary::iupac()} {
    std::string const shape = read_shape(model, [&](nlohmann::json const& json, std::string const& origin) {
        config_ = tape_resnet_config(json, origin);
    });
    load(
        {model, seed, shape, algorithm_version},
        [&](std::int64_t size, std::uint64_t chosen) { return drawn_tensors(config_, size, chosen); },
        [&](WeightReader& weights) { take(weights); });
}

TapeResNetEncoder::Linear TapeResNetEncoder::take_linear(WeightReader& weights, std::string const& name,
                                                         std::int64_t out) const {
    return {weights.take(name + ".weight", {out, config_.hidden}).to(options_.device),
            weights.take(name + ".bias", {out}).to(options_.device)};
}

TapeResNetEncoder::Norm TapeResNetEncoder::take_norm(WeightReader& weights, std::string const& name,
                                                     double epsilon) const {
    return {weights.take(name + ".weight", {config_.hidden}).to(options_.device),
            weights.take(name + ".bias", {config_.hidden}).to(options_.device), epsilon};
}

TapeResNetEncoder::Convolution TapeResNetEncoder::take_convolution(WeightReader& weights, std::string const& block,
                                                                   char const* number) const {
    std::int64_t const d = config_.hidden;
    at::Tensor const weight = weights.take(block + "conv" + number + ".weight", {d, d, taps}); // out x in x 3
    return {weight.permute({0, 2, 1}).reshape({d, taps * d}).to(options_.device, options_.precision),
            take_norm(weights, block + "bn" + number + ".norm", block_epsilon)};
}

void TapeResNetEncoder::take(WeightReader& weights) {
    std::int64_t const d = config_.hidden;
    auto const vocabulary = static_cast<std::int64_t>(words_.names.size());
    std::string const root = weights.has("embeddings.word_embeddings.weight") ? "" : "resnet.";
    std::string const inputs = root + "embeddings.";
    embedding_ = weights.take(inputs + "word_embeddings.weight", {vocabulary, d}).to(options_.device);
    at::Tensor const frequencies = weights.has(inputs + "inverse_frequency")
                                       ? weights.take(inputs + "inverse_frequency", {d / 2})
                                       : inverse_frequencies(d);
    frequencies_ = frequencies.to(options_.device, at::kDouble);
    embedding_norm_ = take_norm(weights, inputs + "layer_norm", config_.norm_epsilon);
    for (int k = 0; k < config_.layers; ++k) {
        std::string const block = root + "encoder.layer." + std::to_string(k) + ".";
        blocks_.push_back({take_convolution(weights, block, "1"), take_convolution(weights, block, "2")});
    }
    if (std::string const pooler = root + "pooler."; weights.has_any(pooler))
        pooler_ =
            Pooler{take_linear(weights, pooler + "attention_weights", 1), take_linear(weights, pooler + "dense", d)};
    if (!weights.has_any("mlm.")) return;
    auto dense = take_linear(weights, "mlm.transform.dense", d);
    auto norm = take_norm(weights, "mlm.transform.LayerNorm", config_.norm_epsilon);
    at::Tensor const decoder = weights.has("mlm.decoder.weight")
                                   ? weights.take("mlm.decoder.weight", {vocabulary, d}).to(options_.device)
                                   : embedding_;
    head_ =
        Head{std::move(dense), std::move(norm), {decoder, weights.take("mlm.bias", {vocabulary}).to(options_.device)}};
}

std::string TapeResNetEncoder::description() const {
    char text[160];
    std::snprintf(text, sizeof text, "TAPE's ResNet, %d block%s of %d filters, %s", config_.layers,
                  config_.layers == 1 ? "" : "s", config_.hidden, precision_name(options_.precision).c_str());
    return text;
}

at::Tensor TapeResNetEncoder::normed(at::Tensor const& x, Norm const& norm) {
    return at::layer_norm(x, {x.size(-1)}, norm.weight, norm.bias, norm.epsilon);
}

at::Tensor TapeResNetEncoder::input_of(at::Tensor const& tokens, at::Tensor const& lengths) const {
    at::Tensor const places = lengths - 1 - at::arange(tokens.size(1), lengths.options()); // B x T: the last token is 0
    // In double: a sine of a large angle in float32 is off by the angle's own rounding.
    at::Tensor const angles = places.to(at::kDouble).unsqueeze(2) * frequencies_; // B x T x D / 2
    at::Tensor const waves = at::cat({at::sin(angles), at::cos(angles)}, 2).to(at::kFloat);
    return normed(at::embedding(embedding_, tokens) + waves, *embedding_norm_);
}

at::Tensor TapeResNetEncoder::convolved(at::Tensor const& x, at::Tensor const& mask, Convolution const& layer) const {
    std::int64_t const width = x.size(1);
    at::Tensor const inside = (mask.defined() ? x * mask : x).to(options_.precision);
    at::Tensor const framed = at::constant_pad_nd(inside, {0, 0, 1, 1}); // B x (T + 2) x D
    at::Tensor const windows =
        at::cat({framed.slice(1, 0, width), framed.slice(1, 1, width + 1), framed.slice(1, 2, width + 2)}, 2);
    return normed(at::linear(windows, layer.weight).to(at::kFloat), layer.norm);
}

at::Tensor TapeResNetEncoder::pooled(at::Tensor const& x, at::Tensor const& lengths) const {
    at::Tensor const places = at::arange(x.size(1), lengths.options()).unsqueeze(0); // 1 x T
    at::Tensor const outside = places.lt(1).logical_or(places.ge(lengths - 1));      // B x T: all but residues
    at::Tensor const scores = at::linear(x, pooler_->attention.weight, pooler_->attention.bias).squeeze(2);
    at::Tensor const shares =
        at::softmax(scores.masked_fill(outside, -std::numeric_limits<float>::infinity()), 1); // B x T
    at::Tensor const mean = (x * shares.unsqueeze(2)).sum(1);                                 // B x D
    return at::tanh(at::linear(mean, pooler_->dense.weight, pooler_->dense.bias));
}

MaskedEncoder::Output TapeResNetEncoder::forward(at::Tensor const& tokens, bool padded, bool, int layer) const {
    int const last = layer < 0 ? config_.layers : layer;
    at::Tensor const inside = tokens.ne(words_.padding); // B x T
    at::Tensor const lengths = inside.sum(1, true);      // B x 1
    at::Tensor mask;                                     // B x T x 1, 0 on the padding
    if (padded) mask = inside.unsqueeze(2).to(at::kFloat);
    at::Tensor x = input_of(tokens, lengths); // B x T x D, float32
    for (int k = 0; k < last; ++k) {
        auto const& block = blocks_[static_cast<std::size_t>(k)];
        x = at::gelu(convolved(at::gelu(convolved(x, mask, block.first)), mask, block.second) + x);
    }
    Output output;
    output.hidden = x;
    if (pooler_ && last == config_.layers) output.pooled = pooled(x, lengths);
    return output;
}

at::Tensor TapeResNetEncoder::token_logits(at::Tensor const& hidden) const {
    at::Tensor const x = at::gelu(at::linear(hidden, head_->dense.weight, head_->dense.bias)); // N x D
    return at::linear(normed(x, head_->norm), head_->decoder.weight, head_->decoder.bias);
}

} // namespace tape
