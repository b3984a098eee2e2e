#pragma once

#include "learn/trainee.hpp"
#include "learn/training_pass.hpp"
#include "learn/transformer.hpp"

namespace tape {

/// A Transformer: on the CPU by `TrainingPass`, elsewhere by autograd.
class TransformerTrainee : public Trainee {
  public:
    struct Start {
        Transformer model;
        std::string weights_hash; ///< of the files that it was read from; empty: drawn
    };
    TransformerTrainee(Start start, at::Device device, at::ScalarType precision);

    [[nodiscard]] std::vector<Parameter> parameters() const override { return model_.parameters(); }
    void refresh() override;
    [[nodiscard]] Score answer(std::span<Exercise const> examples, std::int64_t letters, std::int64_t columns) override;
    [[nodiscard]] double operations(std::span<Exercise const> examples) const override;
    [[nodiscard]] nlohmann::json shape() const override;
    [[nodiscard]] std::string kind() const override { return "Transformer"; }
    [[nodiscard]] std::string description() const override;
    void save(std::filesystem::path const& directory,
              std::map<std::string, std::string> const& metadata) const override;

  private:
    Transformer model_;
    std::string start_hash_;
    at::Device device_;
    TrainingPass pass_{model_};
};

} // namespace tape
