#include "features/positional.hpp"

#include "data/error.hpp"

#include <algorithm>

namespace tape {
namespace {

/// Where a run of `gap` letters of `longer` is best left out, so that the rest agrees with `shorter`.
std::size_t best_gap(std::string_view longer, std::string_view shorter, std::size_t gap) {
    std::size_t alike = 0; // with the run at the very beginning
    for (std::size_t i = 0; i < shorter.size(); ++i) alike += longer[i + gap] == shorter[i];
    std::size_t best = 0, most = alike;
    for (std::size_t i = 0; i < shorter.size(); ++i) {
        alike += longer[i] == shorter[i];
        alike -= longer[i + gap] == shorter[i];
        if (alike > most) most = alike, best = i + 1;
    }
    return best;
}

} // namespace

std::optional<std::string> on_positions_of(std::string_view reference, std::string_view sequence) {
    std::size_t const longer = std::max(reference.size(), sequence.size()),
                      gap = longer - std::min(reference.size(), sequence.size());
    if (20 * gap > reference.size()) return std::nullopt;
    std::string placed{sequence};
    if (gap == 0) return placed;
    if (sequence.size() < reference.size())
        placed.insert(best_gap(reference, sequence, gap), gap, '-');
    else
        placed.erase(best_gap(sequence, reference, gap), gap);
    return placed;
}

PositionalEncoding::PositionalEncoding(std::string_view reference, std::span<std::string_view const> sequences)
    : reference_{reference} {
    std::map<std::pair<std::size_t, char>, std::size_t> counts;
    for (auto const sequence : sequences) {
        auto const letters = placed(sequence);
        for (std::size_t i = 0; i < letters.size(); ++i) ++counts[{i, letters[i]}];
    }
    for (auto const& [place, count] : counts)
        if (count < sequences.size()) columns_.emplace(place, static_cast<Eigen::Index>(columns_.size()));
}

std::string PositionalEncoding::placed(std::string_view sequence) const {
    auto letters = on_positions_of(reference_, sequence);
    if (!letters)
        throw data_error{"a sequence of " + std::to_string(sequence.size()) +
                         " residues has no place on the positions of one of " + std::to_string(reference_.size())};
    return *std::move(letters);
}

FeatureMatrix PositionalEncoding::operator()(std::span<std::string_view const> sequences) const {
    FeatureMatrix encoded = FeatureMatrix::Zero(static_cast<Eigen::Index>(sequences.size()), width());
    for (std::size_t n = 0; n < sequences.size(); ++n) {
        auto const letters = placed(sequences[n]);
        for (std::size_t i = 0; i < letters.size(); ++i)
            if (auto const column = columns_.find({i, letters[i]}); column != columns_.end())
                encoded(static_cast<Eigen::Index>(n), column->second) = 1;
    }
    return encoded;
}

std::optional<std::string_view> reference_of_variants(std::span<std::string_view const> sequences) {
    constexpr double least_alike = 0.8;
    std::map<std::size_t, std::size_t> lengths;
    for (auto const sequence : sequences) ++lengths[sequence.size()];
    auto const commonest = std::ranges::max_element(lengths, {}, [](auto const& entry) { return entry.second; });
    if (commonest == lengths.end() || commonest->first == 0) return std::nullopt;
    auto const reference = *std::ranges::find(sequences, commonest->first, &std::string_view::size);
    double alike = 0;
    for (auto const sequence : sequences) {
        auto const letters = on_positions_of(reference, sequence);
        if (!letters) return std::nullopt;
        for (std::size_t i = 0; i < reference.size(); ++i) alike += (*letters)[i] == reference[i];
    }
    bool const variants =
        alike >= least_alike * static_cast<double>(sequences.size()) * static_cast<double>(reference.size());
    return variants ? std::optional{reference} : std::nullopt;
}

} // namespace tape
