#include "learn/encoder_source.hpp"

#include "data/error.hpp"
#include "data/hash.hpp"
#include "learn/bepler.hpp"
#include "learn/bert.hpp"
#include "learn/checkpoint.hpp"
#include "learn/device.hpp"
#include "learn/encoder.hpp"
#include "learn/fair_esm.hpp"
#include "learn/models.hpp"
#include "learn/tape_lstm.hpp"
#include "learn/tape_resnet.hpp"
#include "learn/transformer_encoder.hpp"
#include "learn/unirep_encoder.hpp"

#include <nlohmann/json.hpp>

namespace tape {
namespace {

class EncoderSource : public FeatureSource {
  public:
    EncoderSource(std::string name, std::unique_ptr<Encoder> encoder)
        : name_{std::move(name)}, encoder_{std::move(encoder)} {}

    [[nodiscard]] std::string name() const override { return name_; }
    [[nodiscard]] std::string description() const override { return encoder_->description(); }
    [[nodiscard]] int residue_width() const override { return encoder_->width(); }
    [[nodiscard]] int pooled_width() const override { return encoder_->width(); }
    [[nodiscard]] int pair_width() const override { return encoder_->pair_width(); }
    [[nodiscard]] std::string content_hash() const override { return encoder_->content_hash(); }

    [[nodiscard]] std::vector<ProteinFeatures> compute(std::span<Protein const> proteins,
                                                       FeatureRequest request) override {
        auto embeddings = encoder_->embed(
            proteins,
            {.rows = request.rows, .pooled = request.pooled, .pairs = request.pairs && encoder_->pair_width() > 0});
        std::vector<ProteinFeatures> features(embeddings.size());
        for (std::size_t i = 0; i < embeddings.size(); ++i) {
            features[i].rows = std::move(embeddings[i].rows);
            features[i].pooled = std::move(embeddings[i].pooled);
            features[i].pairs = std::move(embeddings[i].pairs);
        }
        return features;
    }

  private:
    std::string name_;
    std::unique_ptr<Encoder> encoder_;
};

LoadedTransformer drawn_transformer(TransformerConfig const& config, std::uint64_t seed) {
    return {Transformer{config, seed},
            std::nullopt,
            {},
            content_hash(to_json(config).dump() + " drawn from seed " + std::to_string(seed))};
}

LoadedTransformer loaded_transformer(ModelLocation const& location, bool random, std::uint64_t seed) {
    if (location.kind == ModelKind::fair_esm)
        return random ? drawn_transformer(fair_esm_config(location.path), seed) : load_fair_esm(location.path);
    if (!random) return load_transformer(location.path);
    auto const file = (location.path / "config.json").string();
    return drawn_transformer(transformer_config(read_config(location.path), file), seed);
}

std::unique_ptr<Encoder> load_masked_encoder(ModelLocation const& location, bool random,
                                             EncoderSourceOptions const& options) {
    // A bare network needs no weights to be drawn, only its published shape.
    if (!random || !location.path.empty()) require_weights(location);
    auto const device = resolve_device(options.device);
    // fp32 unless asked: the networks we bundle are small, and their features were checked in fp32.
    auto const precision = options.precision == "auto" ? at::kFloat : resolve_precision(options.precision, device);
    MaskedEncoder::Options how{.device = device, .precision = precision, .memory = options.memory};
    auto const seed = random ? std::optional{options.seed} : std::nullopt;
    // An LSTM multiplies one token of each protein at a time: only many proteins make that a product worth its weights.
    constexpr std::int64_t recurrent_tokens = 16384;
    switch (location.kind) {
    case ModelKind::bert:
        return std::make_unique<BertEncoder>(location.path, seed, how);
    case ModelKind::tape_resnet:
        return std::make_unique<TapeResNetEncoder>(location.path, seed, how);
    case ModelKind::tape_lstm:
        how.tokens = recurrent_tokens;
        return std::make_unique<TapeLstmEncoder>(location.path, seed, how);
    case ModelKind::bepler:
        how.tokens = recurrent_tokens;
        return std::make_unique<BeplerEncoder>(location.path, seed, how);
    default:
        return std::make_unique<TransformerEncoder>(loaded_transformer(location, random, options.seed), how);
    }
}

std::unique_ptr<Encoder> load_unirep_encoder(ModelLocation const& location, bool random,
                                             EncoderSourceOptions const& options) {
    auto const device = resolve_device(options.device);
    auto const with = [&](LoadedUniRep loaded) -> std::unique_ptr<Encoder> {
        // bf16 was checked with 1900 units (frozen averages, ridge on stability); the small ones are fast enough
        // without.
        bool const small = options.precision == "auto" && loaded.model.config().units < 1024;
        auto const precision = small ? at::kFloat : resolve_precision(options.precision, device);
        return std::make_unique<UniRepEncoder>(std::move(loaded), UniRepEncoder::Options{device, precision});
    };
    // The unpretrained network needs no weights, only a shape: the published 1900 units if none are there.
    if (random) {
        auto const config =
            std::filesystem::exists(location.path) ? load_unirep(location.path).model.config() : UniRepConfig{};
        return with(drawn_unirep(config, options.seed));
    }
    require_weights(location);
    return with(load_unirep(location.path));
}

} // namespace

std::unique_ptr<Encoder> load_encoder(std::string const& model, bool random, EncoderSourceOptions const& options) {
    auto const location = locate_model(model);
    use_threads(options.threads);
    return location.kind == ModelKind::unirep ? load_unirep_encoder(location, random, options)
                                              : load_masked_encoder(location, random, options);
}

std::unique_ptr<FeatureSource> make_encoder_source(std::string const& name, std::string const& model, bool random,
                                                   EncoderSourceOptions const& options) {
    return std::make_unique<EncoderSource>(name, load_encoder(model, random, options));
}

} // namespace tape
