#include "learn/bert.hpp"

#include "data/error.hpp"
#include "data/text.hpp"
#include "learn/checkpoint.hpp"
#include "learn/device.hpp"
#include "learn/drawn_tensors.hpp"

#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/embedding.h>
#include <ATen/ops/layer_norm.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/scaled_dot_product_attention.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/tanh.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <c10/core/InferenceMode.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>

namespace tape {
namespace {

constexpr char const* algorithm_version = "bert-2";
constexpr double initial_deviation = 0.02;

nlohmann::json const* type_field(nlohmann::json const& json) {
    return json.is_object() && json.contains("model_type") ? &json.at("model_type") : nullptr;
}

/// The weights of a network as BertForMaskedLM names them, drawn as BERT draws them.
NamedTensors drawn_tensors(BertConfig const& config, std::int64_t vocabulary, std::uint64_t seed) {
    DrawnTensors drawn{seed};
    std::int64_t const d = config.hidden, f = config.feed_forward;
    auto const linear = [&](std::string const& name, std::int64_t out, std::int64_t in) {
        drawn.normal_linear(name, out, in, initial_deviation);
    };
    drawn.normal("bert.embeddings.word_embeddings.weight", {vocabulary, d}, initial_deviation);
    drawn.normal("bert.embeddings.position_embeddings.weight", {config.positions, d}, initial_deviation);
    drawn.normal("bert.embeddings.token_type_embeddings.weight", {config.token_types, d}, initial_deviation);
    drawn.norm("bert.embeddings.LayerNorm", d);
    for (int i = 0; i < config.layers; ++i) {
        std::string const prefix = "bert.encoder.layer." + std::to_string(i) + ".";
        for (char const* const part : {"query", "key", "value"}) linear(prefix + "attention.self." + part, d, d);
        linear(prefix + "attention.output.dense", d, d);
        drawn.norm(prefix + "attention.output.LayerNorm", d);
        linear(prefix + "intermediate.dense", f, d);
        linear(prefix + "output.dense", d, f);
        drawn.norm(prefix + "output.LayerNorm", d);
    }
    linear("cls.predictions.transform.dense", d, d);
    drawn.norm("cls.predictions.transform.LayerNorm", d);
    drawn.constant("cls.predictions.bias", {vocabulary}, 0);
    return drawn.tensors();
}

std::vector<std::string> joined_names(std::vector<std::string> const& bases, std::string const& end) {
    std::vector<std::string> names;
    for (auto const& base : bases) names.push_back(base + end);
    return names;
}

} // namespace

std::int64_t BertConfig::parameter_count(std::int64_t tokens) const {
    std::int64_t const d = hidden, f = feed_forward;
    std::int64_t const layer = 4 * (d * d + d) + 2 * d * f + f + d + 4 * d;
    return (tokens + positions + token_types + 2) * d + layers * layer + d * d + 3 * d + tokens;
}

bool describes_bert(nlohmann::json const& json) {
    if (!json.is_object()) return false;
    if (auto const* const type = type_field(json)) return *type == "bert";
    return json.contains("type_vocab_size") && json.contains("intermediate_size") &&
           json.contains("max_position_embeddings");
}

BertConfig bert_config(nlohmann::json const& json, std::string const& origin) {
    if (!json.is_object()) throw data_error{origin + ": not a JSON object"};
    for (auto const& [field, expected] : {std::pair{"hidden_act", "gelu"}, {"position_embedding_type", "absolute"}})
        if (json.contains(field) && json.at(field) != expected)
            throw data_error{origin + ": BERT's '" + field + "' must be \"" + expected + "\"; found " +
                             json.at(field).dump()};
    BertConfig config{.hidden = positive_field(json, "hidden_size", origin),
                      .layers = positive_field(json, "num_hidden_layers", origin),
                      .heads = positive_field(json, "num_attention_heads", origin),
                      .feed_forward = positive_field(json, "intermediate_size", origin),
                      .positions = positive_field(json, "max_position_embeddings", origin),
                      .token_types = positive_field(json, "type_vocab_size", origin)};
    if (json.contains("layer_norm_eps") && json.at("layer_norm_eps").is_number())
        config.norm_epsilon = json.at("layer_norm_eps");
    if (config.hidden % config.heads != 0)
        throw data_error{origin + ": 'hidden_size' " + std::to_string(config.hidden) +
                         " does not divide into 'num_attention_heads' " + std::to_string(config.heads)};
    return config;
}

BertEncoder::BertEncoder(std::filesystem::path const& directory, std::optional<std::uint64_t> seed,
                         Options const& options)
    : VocabularyEncoder{options} {
    auto const json = read_config(directory);
    std::string const origin = (directory / "config.json").string();
    config_ = bert_config(json, origin);
    if (auto const file = directory / "vocab.txt"; std::filesystem::exists(file))
        words_ = BertVocabulary::from_file(file);
    else
        words_ = type_field(json) ? BertVocabulary::protbert() : BertVocabulary::iupac();
    words_.require_size(json, origin);
    std::string shape = json.dump();
    for (auto const& name : words_.names) shape += " " + name;
    load(
        {directory, seed, shape, algorithm_version},
        [&](std::int64_t size, std::uint64_t chosen) { return drawn_tensors(config_, size, chosen); },
        [&](WeightReader& weights) { take(weights); });
}

PackedLinear BertEncoder::prepared(at::Tensor const& weight, at::Tensor const& bias) const {
    return {weight.to(options_.device), bias.to(options_.device), options_.precision};
}

PackedLinear BertEncoder::take_linear(WeightReader& weights, std::vector<std::string> const& names, std::int64_t out,
                                      std::int64_t in) const {
    return prepared(weights.take(joined_names(names, ".weight"), {out, in}),
                    weights.take(joined_names(names, ".bias"), {out}));
}

BertEncoder::Norm BertEncoder::take_norm(WeightReader& weights, std::vector<std::string> const& names) const {
    // Files converted from TensorFlow call them gamma and beta.
    auto scales = joined_names(names, ".weight"), shifts = joined_names(names, ".bias");
    for (auto const& name : names) scales.push_back(name + ".gamma"), shifts.push_back(name + ".beta");
    return {weights.take(scales, {config_.hidden}).to(options_.device),
            weights.take(shifts, {config_.hidden}).to(options_.device)};
}

void BertEncoder::take(WeightReader& weights) {
    std::int64_t const d = config_.hidden, f = config_.feed_forward;
    auto const vocabulary = static_cast<std::int64_t>(words_.names.size());
    std::string const root = weights.has("bert.embeddings.word_embeddings.weight") ? "bert." : "";
    std::string const inputs = root + "embeddings.";
    embedding_ = weights.take(inputs + "word_embeddings.weight", {vocabulary, d}).to(options_.device);
    positions_ = weights.take(inputs + "position_embeddings.weight", {config_.positions, d}).to(options_.device);
    type_ = weights.take(inputs + "token_type_embeddings.weight", {config_.token_types, d})[0].to(options_.device);
    embedding_norm_ = take_norm(weights, {inputs + "LayerNorm"});
    for (int i = 0; i < config_.layers; ++i) {
        std::string const prefix = root + "encoder.layer." + std::to_string(i) + ".";
        std::vector<at::Tensor> matrices, biases;
        for (char const* const part : {"query", "key", "value"}) {
            matrices.push_back(weights.take(prefix + "attention.self." + part + ".weight", {d, d}));
            biases.push_back(weights.take(prefix + "attention.self." + part + ".bias", {d}));
        }
        layers_.push_back({.qkv = prepared(at::cat(matrices), at::cat(biases)),
                           .output = take_linear(weights, {prefix + "attention.output.dense"}, d, d),
                           .up = take_linear(weights, {prefix + "intermediate.dense"}, f, d),
                           .down = take_linear(weights, {prefix + "output.dense"}, d, f),
                           .attention_norm = take_norm(weights, {prefix + "attention.output.LayerNorm"}),
                           .output_norm = take_norm(weights, {prefix + "output.LayerNorm"})});
    }
    if (weights.has_any(root + "pooler.")) pooler_ = take_linear(weights, {root + "pooler.dense"}, d, d);
    weights.ignore(root + "embeddings.position_ids"); // a constant
    for (char const* const name : {"weight", "bias"}) weights.ignore(std::string{"cls.seq_relationship."} + name);
    weights.ignore("cls.predictions.decoder.bias"); // the same as cls.predictions.bias
    if (!weights.has("cls.predictions.transform.dense.weight") && !weights.has("mlm.transform.dense.weight")) return;
    std::vector<std::string> const bases{"cls.predictions", "mlm"}; // Hugging Face, TAPE
    auto dense = take_linear(weights, joined_names(bases, ".transform.dense"), d, d);
    auto norm = take_norm(weights, joined_names(bases, ".transform.LayerNorm"));
    auto const bias = weights.take(joined_names(bases, ".bias"), {vocabulary});
    auto const names = joined_names(bases, ".decoder.weight"); // absent where it is tied to the embedding
    bool const own = std::ranges::any_of(names, [&](auto const& name) { return weights.has(name); });
    head_ = Head{std::move(dense), std::move(norm),
                 prepared(own ? weights.take(names, {vocabulary, d}) : embedding_, bias)};
}

std::string BertEncoder::description() const {
    char text[160];
    std::snprintf(text, sizeof text, "BERT encoder, %.1f M parameters (%d layers, hidden size %d, %d heads), %s",
                  static_cast<double>(config_.parameter_count(static_cast<std::int64_t>(words_.names.size()))) / 1e6,
                  config_.layers, config_.hidden, config_.heads, precision_name(options_.precision).c_str());
    return text;
}

std::vector<std::int64_t> BertEncoder::tokens(Protein const& protein) const {
    auto const longest = static_cast<std::size_t>(config_.positions);
    if (protein.residues.size() + 2 > longest)
        throw data_error{"protein " + shown(protein.id) + " has " + std::to_string(protein.residues.size()) +
                         " residues; this model reads at most " +
                         std::to_string(longest - std::min<std::size_t>(longest, 2))};
    return VocabularyEncoder::tokens(protein);
}

at::Tensor BertEncoder::normed(at::Tensor const& x, Norm const& norm) const {
    return at::layer_norm(x, {x.size(-1)}, norm.weight, norm.bias, config_.norm_epsilon);
}

at::Tensor BertEncoder::input_of(at::Tensor const& tokens) const {
    at::Tensor const places = positions_.slice(0, 0, tokens.size(1));                   // T x D
    return normed(at::embedding(embedding_, tokens) + places + type_, embedding_norm_); // B x T x D
}

std::pair<at::Tensor, at::Tensor> BertEncoder::attend(Layer const& layer, at::Tensor const& x, at::Tensor const& mask,
                                                      bool keep_probabilities) const {
    std::int64_t const batch = x.size(0), length = x.size(1), heads = config_.heads, size = config_.hidden / heads;
    auto const parts = layer.qkv(x).view({batch, length, 3, heads, size}).unbind(2); // each B x T x heads x size
    at::Tensor const q = parts[0].transpose(1, 2), k = parts[1].transpose(1, 2), v = parts[2].transpose(1, 2);
    at::Tensor mixed, probabilities; // B x heads x T x size, B x heads x T x T
    if (keep_probabilities) {
        at::Tensor scores =
            at::matmul(q.to(at::kFloat), k.to(at::kFloat).transpose(-2, -1)) / std::sqrt(static_cast<double>(size));
        if (mask.defined()) scores = scores.masked_fill(mask.logical_not(), -std::numeric_limits<float>::infinity());
        probabilities = at::softmax(scores, -1);
        mixed = at::matmul(probabilities.to(v.scalar_type()), v);
    } else {
        mixed = at::scaled_dot_product_attention(q, k, v, mask.defined() ? std::optional{mask} : std::nullopt);
    }
    return {mixed.transpose(1, 2).reshape({batch, length, heads * size}), probabilities};
}

MaskedEncoder::Output BertEncoder::forward(at::Tensor const& tokens, bool padded, bool attentions, int layer) const {
    at::Tensor mask; // B x 1 x 1 x T, true where there is something to attend to
    if (padded) mask = tokens.ne(words_.padding).unsqueeze(1).unsqueeze(1);
    Output output;
    at::Tensor x = input_of(tokens); // B x T x D, float32
    int const last = layer < 0 ? config_.layers : layer;
    for (int i = 0; i < last; ++i) {
        auto const& part = layers_[static_cast<std::size_t>(i)];
        auto [mixed, probabilities] = attend(part, x, mask, attentions);
        if (attentions) output.attentions.push_back(std::move(probabilities));
        x = normed(x + part.output(mixed), part.attention_norm);
        x = normed(x + part.down(part.up(x, PackedLinear::Then::gelu)), part.output_norm);
    }
    output.hidden = x;
    if (pooler_ && last == config_.layers) output.pooled = at::tanh((*pooler_)(x.select(1, 0))).to(at::kFloat);
    return output;
}

std::size_t BertEncoder::bytes_of_token() const {
    // States; projections, mixed values and their two neighbours.
    return static_cast<std::size_t>(config_.hidden) * (sizeof(float) + 6 * c10::elementSize(options_.precision));
}

/// What follows attention in a layer.
/// @param x  N x D, float32, changed    @param mixed  N x D    @param lowered  N x D, x in compute type
void BertEncoder::finish_layer_packed(Layer const& layer, at::Tensor const& x, at::Tensor const& mixed,
                                      at::Tensor const& lowered) const {
    constexpr std::int64_t portion = 2048; // bounds the wide values
    for (std::int64_t begin = 0; begin < x.size(0); begin += portion) {
        at::Tensor const part = x.slice(0, begin, begin + portion), out = lowered.slice(0, begin, begin + portion);
        add_and_normalise(part, layer.output(mixed.slice(0, begin, begin + portion)),
                          {layer.attention_norm.weight, layer.attention_norm.bias}, config_.norm_epsilon, out, true);
        add_and_normalise(part, layer.down(layer.up(out, PackedLinear::Then::gelu)),
                          {layer.output_norm.weight, layer.output_norm.bias}, config_.norm_epsilon, out, true);
    }
}

at::Tensor BertEncoder::forward_packed(PackedTokens const& batch, int layer) const {
    auto const count = static_cast<std::int64_t>(batch.tokens.size());
    at::Tensor const x = at::zeros({padded_rows(count), config_.hidden}, at::kFloat);
    for (std::size_t s = 0; s < batch.count(); ++s) {
        std::int64_t const begin = batch.starts[s], end = batch.starts[s + 1];
        at::Tensor const tokens =
            at::tensor(at::IntArrayRef{batch.tokens.data() + begin, static_cast<std::size_t>(end - begin)}, at::kLong);
        x.slice(0, begin, end).copy_(input_of(tokens.unsqueeze(0))[0]);
    }
    at::Tensor const lowered = x.to(options_.precision, /*non_blocking=*/false, /*copy=*/true);
    int const last = layer < 0 ? config_.layers : layer;
    for (int i = 0; i < last; ++i) {
        auto const& part = layers_[static_cast<std::size_t>(i)];
        at::Tensor const qkv = part.qkv(lowered).view({x.size(0), 3, config_.heads, config_.hidden / config_.heads});
        finish_layer_packed(part, x, packed_attention(qkv, batch.starts, {}, {}), lowered);
    }
    return x.slice(0, 0, count);
}

at::Tensor BertEncoder::token_logits(at::Tensor const& hidden) const {
    at::Tensor const x = head_->dense(hidden, PackedLinear::Then::gelu).to(at::kFloat); // N x D
    return head_->decoder(normed(x, head_->norm)).to(at::kFloat);
}

} // namespace tape
