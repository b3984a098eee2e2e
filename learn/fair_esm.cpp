#include "learn/fair_esm.hpp"

#include "data/error.hpp"
#include "data/hash.hpp"
#include "learn/checkpoint.hpp"

#include <nlohmann/json.hpp>

#include <array>
#include <string_view>
#include <utility>

namespace tape {
namespace {

int size_field(TorchFile const& file, std::string const& name, std::string const& origin) {
    auto const found = file.values().find("cfg.model." + name);
    if (found == file.values().end())
        throw data_error{origin + ": has no 'cfg.model." + name + "'; expected an ESM-2 checkpoint of fair-esm"};
    auto const* const value = std::get_if<long long>(&found->second);
    if (value == nullptr || *value < 1 || *value > 1'000'000)
        throw data_error{origin + ": 'cfg.model." + name + "' must be a positive whole number"};
    return static_cast<int>(*value);
}

TransformerConfig config_of(TorchFile const& file, std::string const& origin) {
    TransformerConfig config{.hidden = size_field(file, "encoder_embed_dim", origin),
                             .layers = size_field(file, "encoder_layers", origin),
                             .heads = size_field(file, "encoder_attention_heads", origin)};
    auto const dropout = file.values().find("cfg.model.token_dropout");
    if (dropout != file.values().end())
        if (auto const* const value = std::get_if<bool>(&dropout->second)) config.token_dropout = *value;
    if (config.hidden % config.heads != 0 || config.head_size() % 2 != 0)
        throw data_error{origin + ": 'encoder_embed_dim' " + std::to_string(config.hidden) +
                         " does not divide into 'encoder_attention_heads' " + std::to_string(config.heads) +
                         " heads of even size"};
    return config;
}

bool drop_prefix(std::string& text, std::string_view prefix) {
    if (!text.starts_with(prefix)) return false;
    text.erase(0, prefix.size());
    return true;
}

/// Parts of a layer under fairseq's names, and under Hugging Face's. In order: the first that fits is taken.
constexpr std::array<std::pair<std::string_view, std::string_view>, 9> layer_parts{
    {{"self_attn.k_proj.", "attention.self.key."},
     {"self_attn.v_proj.", "attention.self.value."},
     {"self_attn.q_proj.", "attention.self.query."},
     {"self_attn.out_proj.", "attention.output.dense."},
     {"self_attn.rot_emb.", "attention.self.rotary_embeddings."},
     {"self_attn_layer_norm.", "attention.LayerNorm."},
     {"final_layer_norm.", "LayerNorm."},
     {"fc1.", "intermediate.dense."},
     {"fc2.", "output.dense."}}};

/// A tensor's name in the Hugging Face layout.
std::string renamed(std::string name) {
    if (!drop_prefix(name, "encoder.sentence_encoder.")) drop_prefix(name, "encoder.");
    if (name == "lm_head.weight") return "lm_head.decoder.weight";
    if (name == "embed_tokens.weight") return "esm.embeddings.word_embeddings.weight";
    if (name.starts_with("emb_layer_norm_after.")) return "esm.encoder." + name;
    if (name.starts_with("contact_head.")) return "esm." + name;
    if (!drop_prefix(name, "layers.")) return name;
    std::size_t const dot = name.find('.') + 1;
    std::string part = name.substr(dot);
    for (auto const& [from, to] : layer_parts)
        if (drop_prefix(part, from)) return "esm.encoder.layer." + name.substr(0, dot) + std::string{to} + part;
    return "esm.encoder.layer." + name;
}

void add_tensors(NamedTensors& tensors, TorchFile const& file, std::filesystem::path const& path) {
    for (auto const& [name, tensor] : tensors_of(file)) {
        std::string own = name;
        if (!drop_prefix(own, "model.")) continue;
        if (!tensors.emplace(renamed(own), tensor).second)
            throw data_error{path.string() + ": tensor '" + name + "' is there twice"};
    }
}

} // namespace

TransformerConfig fair_esm_config(std::filesystem::path const& file) {
    return config_of(TorchFile{file}, file.string());
}

LoadedTransformer load_fair_esm(std::filesystem::path const& file) {
    TorchFile const model{file};
    auto const config = config_of(model, file.string());
    NamedTensors tensors;
    add_tensors(tensors, model, file);
    std::string hashes = to_json(config).dump() + content_hash(model.bytes());
    auto const beside = file.parent_path() / (file.stem().string() + "-contact-regression.pt");
    std::optional<TorchFile> regression;
    if (std::filesystem::exists(beside)) {
        regression.emplace(beside);
        add_tensors(tensors, *regression, beside);
        hashes += content_hash(regression->bytes());
    }
    return assemble_transformer(config, std::move(tensors), file.string(), hashes);
}

} // namespace tape
