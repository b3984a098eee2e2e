#include "learn/transformer.hpp"

#include "data/error.hpp"
#include "data/hash.hpp"
#include "data/temporary.hpp"
#include "learn/checkpoint.hpp"
#include "learn/rotary.hpp"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/cos.h>
#include <ATen/ops/embedding.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/gelu.h>
#include <ATen/ops/layer_norm.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/normal.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/outer.h>
#include <ATen/ops/pow.h>
#include <ATen/ops/scaled_dot_product_attention.h>
#include <ATen/ops/sin.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/zeros.h>
#include <nlohmann/json.hpp>

#include <cmath>
#include <limits>

namespace tape {
namespace {

struct Preset {
    char const* name;
    int layers, hidden, heads;
};
// 8M and larger are ESM-2's own shapes; the smaller ones are ours, with heads of 32, which CPU matrix units like.
constexpr std::array<Preset, 7> presets{{{"1M", 5, 128, 4},
                                         {"2M", 4, 192, 6},
                                         {"3M", 4, 256, 8},
                                         {"8M", 6, 320, 20},
                                         {"35M", 12, 480, 20},
                                         {"150M", 30, 640, 20},
                                         {"650M", 33, 1280, 20}}};

constexpr double rotary_base = 10000.0;
constexpr double initial_deviation = 0.02;
constexpr double esm_mask_share = 0.15 * 0.8; // what ESM-2 saw in training

std::string const layer_prefix = "esm.encoder.layer.";

at::Tensor norm(at::Tensor const& x, at::Tensor const& weight, at::Tensor const& bias, double epsilon) {
    return at::layer_norm(x, {x.size(-1)}, weight, bias, epsilon);
}

/// Softmax over keys. @param mask  true where there is a key, or undefined
at::Tensor softmax_of(at::Tensor const& scores, at::Tensor const& mask) {
    if (!mask.defined()) return at::softmax(scores, -1);
    return at::softmax(scores.masked_fill(mask.logical_not(), -std::numeric_limits<float>::infinity()), -1);
}

void expect_field(nlohmann::json const& json, char const* field, nlohmann::json const& expected,
                  std::string const& origin) {
    if (json.contains(field) && json.at(field) != expected)
        throw data_error{origin + ": this program reads ESM-2 models only, whose '" + field + "' is " +
                         expected.dump() + "; found " + json.at(field).dump()};
}

} // namespace

std::int64_t TransformerConfig::parameter_count() const {
    std::int64_t const d = hidden, f = feed_forward_size(), v = EsmTokenizer::size;
    std::int64_t const layer = 4 * (d * d + d) + 2 * d * f + f + d + 4 * d;
    return v * d + layers * layer + 2 * d + d * d + d + 2 * d + v;
}

std::vector<std::string> const& transformer_preset_names() {
    static std::vector<std::string> const names = [] {
        std::vector<std::string> all;
        for (auto const& preset : presets) all.emplace_back(preset.name);
        return all;
    }();
    return names;
}

TransformerConfig transformer_preset(std::string const& size) {
    auto const found = std::ranges::find(presets, size, &Preset::name);
    if (found == presets.end()) {
        std::string choices;
        for (auto const& name : transformer_preset_names()) choices += (choices.empty() ? "" : ", ") + name;
        throw usage_error{"unknown size '" + size + "': choose " + choices +
                          ", or give --hidden, --layers and --heads"};
    }
    return {.hidden = found->hidden, .layers = found->layers, .heads = found->heads};
}

void check(TransformerConfig const& config) {
    auto const complain = [](std::string const& what) { throw usage_error{"impossible network: " + what}; };
    if (config.hidden < 1 || config.layers < 1 || config.heads < 1 || config.feed_forward < 0)
        complain("--hidden, --layers and --heads must be positive");
    if (config.hidden % config.heads != 0)
        complain("--hidden " + std::to_string(config.hidden) + " is not a multiple of --heads " +
                 std::to_string(config.heads));
    if (config.head_size() % 2 != 0)
        complain("--hidden / --heads is " + std::to_string(config.head_size()) +
                 "; rotary positions need an even number");
}

nlohmann::json to_json(TransformerConfig const& config) {
    nlohmann::json json{{"architectures", {"EsmForMaskedLM"}},
                        {"model_type", "esm"},
                        {"vocab_size", EsmTokenizer::size},
                        {"pad_token_id", EsmTokenizer::pad},
                        {"mask_token_id", EsmTokenizer::mask},
                        {"hidden_size", config.hidden},
                        {"num_hidden_layers", config.layers},
                        {"num_attention_heads", config.heads},
                        {"intermediate_size", config.feed_forward_size()},
                        {"hidden_act", "gelu"},
                        {"position_embedding_type", "rotary"},
                        {"max_position_embeddings", 1026},
                        {"layer_norm_eps", config.norm_epsilon},
                        {"emb_layer_norm_before", false},
                        {"token_dropout", config.token_dropout},
                        {"attention_probs_dropout_prob", 0.0},
                        {"hidden_dropout_prob", 0.0},
                        {"initializer_range", initial_deviation}};
    if (config.causal) json["is_decoder"] = true;
    return json;
}

TransformerConfig transformer_config(nlohmann::json const& json, std::string const& origin) {
    if (!json.is_object()) throw data_error{origin + ": not a JSON object"};
    if (json.value("model_type", nlohmann::json{}) != "esm")
        throw data_error{origin + ": 'model_type' is " +
                         (json.contains("model_type") ? json.at("model_type").dump() : "(missing)") +
                         "; this program reads \"esm\" (ESM-2 and its own models) and \"bert\""};
    expect_field(json, "position_embedding_type", "rotary", origin);
    expect_field(json, "emb_layer_norm_before", false, origin);
    expect_field(json, "hidden_act", "gelu", origin);
    expect_field(json, "vocab_size", EsmTokenizer::size, origin);
    TransformerConfig config{.hidden = positive_field(json, "hidden_size", origin),
                             .layers = positive_field(json, "num_hidden_layers", origin),
                             .heads = positive_field(json, "num_attention_heads", origin),
                             .feed_forward = positive_field(json, "intermediate_size", origin)};
    if (json.contains("layer_norm_eps") && json.at("layer_norm_eps").is_number())
        config.norm_epsilon = json.at("layer_norm_eps");
    if (json.contains("token_dropout") && json.at("token_dropout").is_boolean())
        config.token_dropout = json.at("token_dropout");
    if (json.contains("is_decoder") && json.at("is_decoder").is_boolean()) config.causal = json.at("is_decoder");
    if (config.hidden % config.heads != 0 || config.head_size() % 2 != 0)
        throw data_error{origin + ": 'hidden_size' " + std::to_string(config.hidden) +
                         " does not divide into 'num_attention_heads' " + std::to_string(config.heads) +
                         " heads of even size"};
    return config;
}

std::vector<Transformer::Field> const& Transformer::fields() {
    static std::vector<Field> const all{{"attention.LayerNorm.weight", &Layer::norm_weight, false},
                                        {"attention.LayerNorm.bias", &Layer::norm_bias, false},
                                        {"attention.output.dense.weight", &Layer::output_weight, true},
                                        {"attention.output.dense.bias", &Layer::output_bias, false},
                                        {"LayerNorm.weight", &Layer::ffn_norm_weight, false},
                                        {"LayerNorm.bias", &Layer::ffn_norm_bias, false},
                                        {"intermediate.dense.weight", &Layer::up_weight, true},
                                        {"intermediate.dense.bias", &Layer::up_bias, false},
                                        {"output.dense.weight", &Layer::down_weight, true},
                                        {"output.dense.bias", &Layer::down_bias, false}};
    return all;
}

Transformer::Transformer(TransformerConfig const& config, std::uint64_t seed) : config_{config} {
    check(config);
    auto generator = at::make_generator<at::CPUGeneratorImpl>(seed);
    std::int64_t const d = config.hidden, f = config.feed_forward_size();
    auto const drawn = [&](std::int64_t rows, std::int64_t columns, double scale) {
        return at::normal(0.0, initial_deviation * scale, {rows, columns}, generator, at::TensorOptions{at::kFloat});
    };
    double const residual = 1.0 / std::sqrt(2.0 * config.layers);
    embedding_ = drawn(EsmTokenizer::size, d, 1);
    for (int i = 0; i < config.layers; ++i)
        layers_.push_back({.norm_weight = at::ones({d}),
                           .norm_bias = at::zeros({d}),
                           .qkv_weight = drawn(3 * d, d, 1),
                           .qkv_bias = at::zeros({3 * d}),
                           .output_weight = drawn(d, d, residual),
                           .output_bias = at::zeros({d}),
                           .ffn_norm_weight = at::ones({d}),
                           .ffn_norm_bias = at::zeros({d}),
                           .up_weight = drawn(f, d, 1),
                           .up_bias = at::zeros({f}),
                           .down_weight = drawn(d, f, residual),
                           .down_bias = at::zeros({d})});
    final_norm_weight_ = at::ones({d}), final_norm_bias_ = at::zeros({d});
    head_weight_ = drawn(d, d, 1), head_bias_ = at::zeros({d});
    head_norm_weight_ = at::ones({d}), head_norm_bias_ = at::zeros({d});
    output_bias_ = at::zeros({EsmTokenizer::size});
}

Transformer::Transformer(TransformerConfig const& config, WeightReader& weights) : config_{config} {
    std::int64_t const d = config.hidden, f = config.feed_forward_size();
    embedding_ = weights.take("esm.embeddings.word_embeddings.weight", {EsmTokenizer::size, d});
    for (int i = 0; i < config.layers; ++i) {
        std::string const prefix = layer_prefix + std::to_string(i) + ".";
        std::string const self = prefix + "attention.self.";
        // transformers 5 writes the encoder's norms as gamma and beta.
        auto const norm_pair = [&](std::string const& name) {
            return std::pair{weights.take({prefix + name + ".weight", prefix + name + ".gamma"}, {d}),
                             weights.take({prefix + name + ".bias", prefix + name + ".beta"}, {d})};
        };
        auto const [norm_weight, norm_bias] = norm_pair("attention.LayerNorm");
        auto const [ffn_norm_weight, ffn_norm_bias] = norm_pair("LayerNorm");
        layers_.push_back(
            {.norm_weight = norm_weight,
             .norm_bias = norm_bias,
             .qkv_weight =
                 at::cat({weights.take(self + "query.weight", {d, d}), weights.take(self + "key.weight", {d, d}),
                          weights.take(self + "value.weight", {d, d})}),
             .qkv_bias = at::cat({weights.take(self + "query.bias", {d}), weights.take(self + "key.bias", {d}),
                                  weights.take(self + "value.bias", {d})}),
             .output_weight = weights.take(prefix + "attention.output.dense.weight", {d, d}),
             .output_bias = weights.take(prefix + "attention.output.dense.bias", {d}),
             .ffn_norm_weight = ffn_norm_weight,
             .ffn_norm_bias = ffn_norm_bias,
             .up_weight = weights.take(prefix + "intermediate.dense.weight", {f, d}),
             .up_bias = weights.take(prefix + "intermediate.dense.bias", {f}),
             .down_weight = weights.take(prefix + "output.dense.weight", {d, f}),
             .down_bias = weights.take(prefix + "output.dense.bias", {d})});
        weights.ignore(self + "rotary_embeddings.inv_freq");
    }
    weights.ignore(layer_prefix + "*.attention.self.rotary_embeddings.inv_freq");
    weights.ignore("esm.embeddings.position_ids");
    final_norm_weight_ = weights.take("esm.encoder.emb_layer_norm_after.weight", {d});
    final_norm_bias_ = weights.take("esm.encoder.emb_layer_norm_after.bias", {d});
    head_weight_ = weights.take("lm_head.dense.weight", {d, d});
    head_bias_ = weights.take("lm_head.dense.bias", {d});
    head_norm_weight_ = weights.take("lm_head.layer_norm.weight", {d});
    head_norm_bias_ = weights.take("lm_head.layer_norm.bias", {d});
    output_bias_ = weights.take("lm_head.bias", {EsmTokenizer::size});
    weights.ignore("lm_head.decoder.weight"); // tied to the embedding
}

void Transformer::extend_rotary(std::int64_t length) const {
    if (rotary_cos_.defined() && rotary_cos_.size(0) >= length) return;
    std::int64_t const half = config_.head_size() / 2;
    auto const options = at::TensorOptions{at::kFloat}.device(embedding_.device());
    at::Tensor const frequencies =
        at::pow(rotary_base, at::arange(0, half, options) / static_cast<double>(-half)); // half
    at::Tensor const angles = at::outer(at::arange(0, length, options), frequencies);    // T x half
    rotary_cos_ = at::cos(angles), rotary_sin_ = at::sin(angles);
}

at::Tensor Transformer::linear(at::Tensor const& x, PackedLinear const& packed, at::Tensor const& weight,
                               at::Tensor const& bias) const {
    if (packed.defined()) return packed(x);
    if (compute_type_ == at::kFloat) return at::linear(x, weight, bias);
    auto const lowered = [&](at::Tensor const& value) {
        if (value.requires_grad()) return value.to(compute_type_);
        at::Tensor& kept = lowered_[value.unsafeGetTensorImpl()];
        if (!kept.defined()) kept = value.to(compute_type_);
        return kept;
    };
    return at::linear(x.to(compute_type_), lowered(weight), lowered(bias));
}

at::Tensor Transformer::embed(at::Tensor const& tokens) const {
    at::Tensor x = at::embedding(embedding_, tokens, EsmTokenizer::pad); // B x T x D
    at::Tensor const present = tokens.ne(EsmTokenizer::pad);             // B x T
    if (config_.token_dropout) {
        at::Tensor const masked = tokens.eq(EsmTokenizer::mask);
        at::Tensor const share = masked.sum(1).to(at::kFloat) / present.sum(1).to(at::kFloat); // B
        at::Tensor const scale = (1.0 - esm_mask_share) / (1.0 - share);
        x = x.masked_fill(masked.unsqueeze(-1), 0.0) * scale.view({-1, 1, 1});
    }
    return x * present.unsqueeze(-1).to(x.scalar_type());
}

Transformer::Attended Transformer::attend(Layer const& layer, at::Tensor const& x, at::Tensor const& mask,
                                          bool keep_probabilities) const {
    std::int64_t const batch = x.size(0), length = x.size(1), heads = config_.heads, size = config_.head_size();
    at::Tensor const normed = norm(x, layer.norm_weight, layer.norm_bias, config_.norm_epsilon);
    at::Tensor const packed =
        linear(normed, layer.qkv, layer.qkv_weight, layer.qkv_bias).view({batch, length, 3, heads, size});
    auto const parts = rotate(packed, rotary_cos_, rotary_sin_).unbind(2); // each B x T x heads x size
    at::Tensor const q = parts[0].transpose(1, 2), k = parts[1].transpose(1, 2), v = parts[2].transpose(1, 2);
    double const scale = 1.0 / std::sqrt(static_cast<double>(size));
    at::Tensor mixed, probabilities; // B x heads x T x size, B x heads x T x T
    if (keep_probabilities) {
        probabilities = softmax_of(at::matmul(q.to(at::kFloat), k.to(at::kFloat).transpose(-2, -1)) * scale, mask);
        mixed = at::matmul(probabilities.to(v.scalar_type()), v);
    } else if (x.requires_grad() && x.is_cpu()) {
        // LibTorch's fused attention runs backward 6 times slower than plain products on CPU (measured: 197 ms against
        // 34 ms for both ways at 64 x 130 tokens, 8 heads of 32, bf16, 2 cores).
        mixed = at::matmul(softmax_of(at::matmul(q * scale, k.transpose(-2, -1)), mask), v);
    } else {
        mixed = at::scaled_dot_product_attention(q, k, v, mask.defined() ? std::optional{mask} : std::nullopt);
    }
    at::Tensor const joined = mixed.transpose(1, 2).reshape({batch, length, heads * size});
    return {linear(joined, layer.output, layer.output_weight, layer.output_bias), probabilities};
}

at::Tensor Transformer::feed_forward(Layer const& layer, at::Tensor const& x) const {
    at::Tensor const normed = norm(x, layer.ffn_norm_weight, layer.ffn_norm_bias, config_.norm_epsilon);
    at::Tensor const wide = at::gelu(linear(normed, layer.up, layer.up_weight, layer.up_bias)); // B x T x F
    return linear(wide, layer.down, layer.down_weight, layer.down_bias);
}

Transformer::Output Transformer::forward(TokenBatch const& batch, ForwardOptions const& options) const {
    extend_rotary(batch.tokens.size(1));
    at::Tensor mask; // B x 1 x 1 x T, true where there is something to attend to
    if (batch.padded) mask = batch.tokens.ne(EsmTokenizer::pad).unsqueeze(1).unsqueeze(1);
    if (config_.causal) // 1 x 1 x T x T; padding stands behind all that looks back
        mask = at::ones({batch.tokens.size(1), batch.tokens.size(1)}, batch.tokens.options().dtype(at::kBool))
                   .tril()
                   .unsqueeze(0)
                   .unsqueeze(0);
    Output output;
    at::Tensor x = embed(batch.tokens); // B x T x D
    int const last = options.layer < 0 ? config_.layers : std::min(options.layer, config_.layers);
    for (int i = 0; i < last; ++i) {
        auto const& layer = layers_[static_cast<std::size_t>(i)];
        auto attended = attend(layer, x, mask, options.attentions);
        if (options.attentions) output.attentions.push_back(std::move(attended.probabilities));
        x = x + attended.values;
        x = x + feed_forward(layer, x);
    }
    output.hidden = options.layer < 0 ? final_norm(x) : x;
    return output;
}

at::Tensor Transformer::final_norm(at::Tensor const& x) const {
    return norm(x, final_norm_weight_, final_norm_bias_, config_.norm_epsilon);
}

at::Tensor Transformer::logits(at::Tensor const& hidden) const {
    at::Tensor const x = at::gelu(linear(hidden, head_, head_weight_, head_bias_)).to(at::kFloat); // N x D
    return linear(norm(x, head_norm_weight_, head_norm_bias_, config_.norm_epsilon), decoder_, embedding_, output_bias_)
        .to(at::kFloat);
}

void Transformer::pack() {
    auto const packed = [&](at::Tensor& weight, at::Tensor& bias) {
        PackedLinear linear{weight, bias, compute_type_};
        weight = bias = at::Tensor{};
        return linear;
    };
    for (auto& layer : layers_) {
        layer.qkv = packed(layer.qkv_weight, layer.qkv_bias);
        layer.output = packed(layer.output_weight, layer.output_bias);
        layer.up = packed(layer.up_weight, layer.up_bias);
        layer.down = packed(layer.down_weight, layer.down_bias);
    }
    head_ = packed(head_weight_, head_bias_);
    decoder_ = PackedLinear{embedding_, output_bias_, compute_type_};
}

std::size_t Transformer::bytes_of_token() const {
    auto const width = static_cast<std::size_t>(config_.hidden), value = c10::elementSize(compute_type_);
    return width * (sizeof(float) + 6 * value); // residual stream; projections, mixed values and their two neighbours
}

at::Tensor Transformer::embed_packed(PackedTokens const& batch) const {
    std::int64_t const width = config_.hidden;
    at::Tensor x = at::empty({padded_rows(static_cast<std::int64_t>(batch.tokens.size())), width}, at::kFloat);
    auto* const rows = x.mutable_data_ptr<float>();
    auto const* const table = embedding_.const_data_ptr<float>();
    for (std::size_t s = 0; s < batch.count(); ++s) {
        std::int64_t const begin = batch.starts[s], end = batch.starts[s + 1];
        auto const masked = std::count(batch.tokens.begin() + begin, batch.tokens.begin() + end, EsmTokenizer::mask);
        double const share = static_cast<double>(masked) / static_cast<double>(end - begin);
        auto const scale = config_.token_dropout ? static_cast<float>((1.0 - esm_mask_share) / (1.0 - share)) : 1.0F;
        for (std::int64_t t = begin; t < end; ++t) {
            auto const token = batch.tokens[static_cast<std::size_t>(t)];
            float const factor = config_.token_dropout && token == EsmTokenizer::mask ? 0.0F : scale;
            for (std::int64_t k = 0; k < width; ++k) rows[t * width + k] = factor * table[token * width + k];
        }
    }
    x.slice(0, static_cast<std::int64_t>(batch.tokens.size())).zero_();
    return x;
}

/// What follows attention in a layer, and the norm that the next one begins with.
/// @param x  N x D, residual stream, changed    @param mixed  N x D    @param normed  N x D, for the next layer
void Transformer::finish_layer_packed(std::size_t index, std::size_t last, at::Tensor const& x, at::Tensor const& mixed,
                                      at::Tensor const& normed) const {
    constexpr std::int64_t portion = 2048; // the wide values of a long protein never stand in memory together
    Layer const& layer = layers_[index];
    for (std::int64_t begin = 0; begin < x.size(0); begin += portion) {
        at::Tensor const part = x.slice(0, begin, begin + portion), out = normed.slice(0, begin, begin + portion);
        add_and_normalise(part, layer.output(mixed.slice(0, begin, begin + portion)),
                          {layer.ffn_norm_weight, layer.ffn_norm_bias}, config_.norm_epsilon, out);
        at::Tensor const delta = layer.down(layer.up(out, PackedLinear::Then::gelu));
        if (index + 1 < last) {
            Layer const& next = layers_[index + 1];
            add_and_normalise(part, delta, {next.norm_weight, next.norm_bias}, config_.norm_epsilon, out);
        } else {
            part.add_(delta);
        }
    }
}

at::Tensor Transformer::forward_packed(PackedTokens const& batch, int layer) const {
    std::int64_t const heads = config_.heads, size = config_.head_size();
    auto const last = static_cast<std::size_t>(layer < 0 ? config_.layers : std::min(layer, config_.layers));
    at::Tensor const x = embed_packed(batch); // padded N x D
    at::Tensor const normed = at::empty(x.sizes(), compute_type_);
    if (last > 0)
        add_and_normalise(x, {}, {layers_[0].norm_weight, layers_[0].norm_bias}, config_.norm_epsilon, normed);
    for (std::size_t i = 0; i < last; ++i) {
        at::Tensor const qkv = layers_[i].qkv(normed).view({x.size(0), 3, heads, size});
        finish_layer_packed(i, last, x, packed_attention(qkv, batch.starts, rotary_cos_, rotary_sin_), normed);
    }
    at::Tensor const hidden = x.slice(0, 0, static_cast<std::int64_t>(batch.tokens.size()));
    return layer < 0 ? final_norm(hidden) : hidden;
}

NamedTensors Transformer::state() const {
    NamedTensors all;
    for (std::size_t i = 0; i < layers_.size(); ++i) {
        std::string const prefix = layer_prefix + std::to_string(i) + ".";
        for (auto const& field : fields()) all[prefix + field.name] = layers_[i].*field.value;
        auto const weights = layers_[i].qkv_weight.chunk(3), biases = layers_[i].qkv_bias.chunk(3);
        for (std::size_t part = 0; part < 3; ++part) {
            std::string const name = prefix + "attention.self." + std::array{"query", "key", "value"}[part];
            all[name + ".weight"] = weights[part], all[name + ".bias"] = biases[part];
        }
    }
    all["esm.embeddings.word_embeddings.weight"] = embedding_;
    all["esm.encoder.emb_layer_norm_after.weight"] = final_norm_weight_;
    all["esm.encoder.emb_layer_norm_after.bias"] = final_norm_bias_;
    all["lm_head.dense.weight"] = head_weight_, all["lm_head.dense.bias"] = head_bias_;
    all["lm_head.layer_norm.weight"] = head_norm_weight_, all["lm_head.layer_norm.bias"] = head_norm_bias_;
    all["lm_head.bias"] = output_bias_;
    for (auto& [name, tensor] : all) tensor = tensor.detach().to(at::kCPU, at::kFloat, false, true).contiguous();
    return all;
}

std::vector<Parameter> Transformer::parameters() const {
    std::vector<Parameter> all{{"embedding", embedding_, true}};
    for (std::size_t i = 0; i < layers_.size(); ++i) {
        std::string const prefix = "layer." + std::to_string(i) + ".";
        all.push_back({prefix + "qkv.weight", layers_[i].qkv_weight, true});
        all.push_back({prefix + "qkv.bias", layers_[i].qkv_bias, false});
        for (auto const& field : fields()) all.push_back({prefix + field.name, layers_[i].*field.value, field.decays});
    }
    all.push_back({"final_norm.weight", final_norm_weight_, false});
    all.push_back({"final_norm.bias", final_norm_bias_, false});
    all.push_back({"head.weight", head_weight_, true});
    all.push_back({"head.bias", head_bias_, false});
    all.push_back({"head_norm.weight", head_norm_weight_, false});
    all.push_back({"head_norm.bias", head_norm_bias_, false});
    all.push_back({"output.bias", output_bias_, false});
    return all;
}

void Transformer::set_compute_type(at::ScalarType type) { compute_type_ = type, lowered_.clear(); }

void Transformer::to(at::Device device) {
    for (auto const& parameter : parameters()) parameter.value.set_data(parameter.value.to(device));
    rotary_cos_ = rotary_sin_ = at::Tensor{};
    lowered_.clear();
}

void Transformer::require_gradients() {
    for (auto const& parameter : parameters()) at::Tensor{parameter.value}.requires_grad_(true);
}

namespace {

std::optional<ContactHead> take_contact_head(TransformerConfig const& config, WeightReader& weights) {
    std::string const prefix = "esm.contact_head.regression.";
    if (!weights.has(prefix + "weight")) return std::nullopt;
    return ContactHead{.weight = weights.take(prefix + "weight", {1, config.layers * config.heads}).squeeze(0),
                       .bias = weights.take(prefix + "bias", {1}).item<double>()};
}

} // namespace

LoadedTransformer assemble_transformer(TransformerConfig const& config, NamedTensors tensors, std::string const& origin,
                                       std::string const& hashes) {
    WeightReader weights{std::move(tensors), origin};
    Transformer model{config, weights};
    auto contact_head = take_contact_head(config, weights);
    return {std::move(model), std::move(contact_head), weights.unused(), content_hash(hashes)};
}

LoadedTransformer load_transformer(std::filesystem::path const& directory) {
    auto const config = transformer_config(read_config(directory), (directory / "config.json").string());
    auto checkpoint = read_checkpoint(directory);
    return assemble_transformer(config, std::move(checkpoint.tensors), directory.string(),
                                to_json(config).dump() + checkpoint.hashes);
}

void save_transformer(std::filesystem::path const& directory, Transformer const& model, at::ScalarType type,
                      std::map<std::string, std::string> const& metadata) {
    OutputFolder const folder{directory};
    NamedTensors state = model.state();
    for (auto& [name, tensor] : state) tensor = tensor.to(type);
    auto all = metadata;
    all["format"] = "pt"; // what transformers expects to find
    save_tensors(directory / "model.safetensors", state, all);
    auto config = to_json(model.config());
    config["torch_dtype"] = type == at::kHalf ? "float16" : "float32";
    write_text(directory / "config.json", config.dump(2) + "\n");
}

} // namespace tape
