#pragma once

#include "learn/lstm_layer.hpp"
#include "learn/tape_lstm.hpp"
#include "learn/trainee.hpp"

namespace tape {

/// TAPE's LSTM without its pooling layer, which a language model does not train. Both stacks share the embedding and
/// the output layer, as in TAPE's PyTorch port. Batches are padded; gradients by autograd.
class LstmTrainee : public Trainee {
  public:
    LstmTrainee(TapeLstmConfig const& config, std::uint64_t seed, at::Device device, at::ScalarType precision);

    [[nodiscard]] std::vector<Parameter> parameters() const override;
    void refresh() override {}
    /// The mean over both ways, for objective "both-ways": letters only.
    [[nodiscard]] Score answer(std::span<Exercise const> examples, std::int64_t letters, std::int64_t columns) override;
    [[nodiscard]] double operations(std::span<Exercise const> examples) const override;
    [[nodiscard]] nlohmann::json shape() const override;
    [[nodiscard]] std::string kind() const override { return "LSTM"; }
    [[nodiscard]] std::string description() const override;
    void save(std::filesystem::path const& directory,
              std::map<std::string, std::string> const& metadata) const override;

  private:
    [[nodiscard]] LstmLayer layer(char const* stack, int index) const;
    [[nodiscard]] at::Tensor states(std::span<Exercise const> examples) const;

    TapeLstmConfig config_;
    at::Device device_;
    at::ScalarType precision_;
    BertVocabulary words_ = BertVocabulary::iupac();
    std::vector<std::int64_t> of_esm_; ///< this vocabulary's token of each of ESM-2's
    NamedTensors weights_;
};

} // namespace tape
