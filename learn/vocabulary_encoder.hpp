#pragma once

#include "learn/bert_vocabulary.hpp"
#include "learn/masked_encoder.hpp"
#include "learn/named_tensors.hpp"

#include <nlohmann/json_fwd.hpp>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace tape {

/// What BERT and TAPE's networks share: a vocabulary of words, weights that are read or drawn, no contact head.
class VocabularyEncoder : public MaskedEncoder {
  public:
    [[nodiscard]] std::vector<std::string> logit_names() const override { return words_.names; }
    [[nodiscard]] bool has_contact_head() const override { return false; }
    [[nodiscard]] std::string content_hash() const override { return hash_; }
    [[nodiscard]] std::vector<std::string> unused_tensors() const override { return unused_; }
    [[nodiscard]] std::vector<std::int64_t> tokens(Protein const& protein) const override {
        return words_.wrapped(protein.residues);
    }

  protected:
    explicit VocabularyEncoder(Options const& options, BertVocabulary words = {})
        : MaskedEncoder{options}, words_{std::move(words)} {}

    [[nodiscard]] Vocabulary vocabulary() const override { return {words_.padding, words_.mask}; }
    [[nodiscard]] std::int64_t token(char letter) const override {
        return words_.letters[static_cast<unsigned char>(letter)];
    }

    /// Hands the config.json of a model to `use` with its path, and checks its vocabulary's size.
    /// @return what it says, for content hashes; "published shape" if the model is empty, as for a drawn network
    [[nodiscard]] std::string
    read_shape(std::filesystem::path const& model,
               std::function<void(nlohmann::json const& json, std::string const& origin)> const& use) const;

    struct Source {
        std::filesystem::path model;
        std::optional<std::uint64_t> seed; ///< draws fresh weights instead
        std::string shape;                 ///< of the network, for content hashes
        std::string version;               ///< raised when the same weights would give other values
    };
    /// Takes the network's tensors out of the model's weight files, or of what `draw` draws.
    void load(Source const& source,
              std::function<NamedTensors(std::int64_t vocabulary, std::uint64_t seed)> const& draw,
              std::function<void(WeightReader&)> const& take);

    BertVocabulary words_;

  private:
    std::vector<std::string> unused_;
    std::string hash_;
};

} // namespace tape
