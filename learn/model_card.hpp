#pragma once

#include "learn/corpus.hpp"
#include "learn/objective.hpp"

#include <nlohmann/json.hpp>

#include <cstdint>
#include <string>
#include <vector>

namespace tape {

/// What is known of a pretrained network when its weights are written.
struct ModelCard {
    std::string kind, description; ///< of the network
    std::int64_t parameters = 0;
    std::string objective;
    CorpusSummary corpus;
    nlohmann::json settings;
    std::int64_t step = 0, planned_steps = 0;
    std::uint64_t residues = 0;
    double epochs = 0;
    int ranks = 1;
    Answers valid_letters, valid_columns;
    std::vector<std::string> history; ///< changes in the course of the run
    std::string before;               ///< of weights that training began from: `training_of` their card
    std::string started, version;
};

/// The lines under "## Training", and those before it that a card has in turn; empty if there are none.
std::string training_of(std::string const& card);

/// The model card as README.md.
std::string to_markdown(ModelCard const& card);

} // namespace tape
