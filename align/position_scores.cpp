#include "align/position_scores.hpp"

#include "align/substitution.hpp"

#include <algorithm>
#include <array>
#include <cmath>

namespace tape {
namespace {

constexpr int code_count = residue_code_count;
constexpr int bias_half_window = 20;
/// Half bits that a window of unbiased residues is off by: biases of that size are halved, larger ones kept. Chosen on
/// SCOP40 queries (tests/bench/scop40_peers.py, offset 3): 0 finds fewer of a superfamily in three rounds; without any
/// bias, shuffled proteins have many times the false hits that their E-values say (tests/bench/evalue_calibration.sh).
constexpr double bias_noise = 0.5;
constexpr int mask_window = 12;
constexpr double mask_entropy_bits = 1.9;

float background_mean(PositionScores const& scores, int position) {
    double mean = 0;
    for (int a = 0; a < amino_acid_count; ++a) mean += background_frequencies[a] * scores.at(position, a);
    return static_cast<float>(mean);
}

// Adds -mean_j sum_a f_j(a) S_i(a) + sum_a p_a S_i(a) to every residue's score at position i, j over the window around
// i without i itself. The window's frequencies slide, so this is O(L * 20).
void add_composition_bias(PositionScores& scores, std::vector<std::array<float, amino_acid_count>> const& frequencies) {
    int const length = scores.length;
    std::array<double, amino_acid_count> window{};
    int begin = 0, end = 0;
    std::vector<float> bias(length);
    for (int i = 0; i < length; ++i) {
        for (; end < std::min(length, i + bias_half_window); ++end)
            for (int a = 0; a < amino_acid_count; ++a) window[a] += frequencies[end][a];
        for (; begin < i - bias_half_window; ++begin)
            for (int a = 0; a < amino_acid_count; ++a) window[a] -= frequencies[begin][a];
        double neighbours = 0;
        for (int a = 0; a < amino_acid_count; ++a) neighbours += (window[a] - frequencies[i][a]) * scores.at(i, a);
        double const value = background_mean(scores, i) - neighbours / (end - begin);
        bias[i] = static_cast<float>(value * value * value / (value * value + bias_noise * bias_noise));
    }
    for (int i = 0; i < length; ++i)
        for (int a = 0; a < amino_acid_count; ++a)
            scores.values[static_cast<std::size_t>(i) * code_count + a] += bias[i];
}

void mask_positions(PositionScores& scores, std::vector<bool> const& mask) {
    for (int i = 0; i < scores.length; ++i)
        if (mask[i])
            for (int a = 0; a < code_count; ++a) {
                float& value = scores.values[static_cast<std::size_t>(i) * code_count + a];
                value = std::min(value, 0.0F);
            }
}

void adjust(PositionScores& scores, std::vector<std::array<float, amino_acid_count>> const& frequencies,
            std::span<Residue const> query, SequenceScoreOptions const& options) {
    if (options.composition_bias) add_composition_bias(scores, frequencies);
    if (options.mask_low_complexity) mask_positions(scores, low_complexity_mask(query));
}

} // namespace

std::vector<bool> low_complexity_mask(std::span<Residue const> sequence) {
    int const length = static_cast<int>(sequence.size());
    std::vector<bool> mask(sequence.size(), false);
    std::array<int, 256> counts{};
    for (int end = 1; end <= length; ++end) {
        ++counts[sequence[end - 1]];
        if (end > mask_window) --counts[sequence[end - 1 - mask_window]];
        if (end < mask_window) continue;
        double entropy = 0;
        for (int a = 0; a < code_count; ++a)
            if (counts[a] > 0) entropy -= counts[a] / double{mask_window} * std::log2(counts[a] / double{mask_window});
        if (entropy < mask_entropy_bits) std::fill(mask.begin() + (end - mask_window), mask.begin() + end, true);
    }
    return mask;
}

PositionScores sequence_scores(std::span<Residue const> query, SequenceScoreOptions const& options) {
    PositionScores scores{static_cast<int>(query.size()), std::vector<float>(query.size() * code_count)};
    std::vector<std::array<float, amino_acid_count>> frequencies(query.size());
    for (std::size_t i = 0; i < query.size(); ++i) {
        Residue const residue = std::min<Residue>(query[i], unknown_code);
        std::copy_n(blosum62[residue].begin(), code_count,
                    scores.values.begin() + static_cast<std::ptrdiff_t>(i * code_count));
        frequencies[i].fill(0);
        if (residue < amino_acid_count) frequencies[i][residue] = 1;
    }
    adjust(scores, frequencies, query, options);
    return scores;
}

PositionScores profile_scores(ProfileHmm const& hmm, std::span<Residue const> query,
                              SequenceScoreOptions const& options) {
    int const length = static_cast<int>(hmm.length());
    PositionScores scores{length, std::vector<float>(static_cast<std::size_t>(length) * code_count)};
    std::vector<std::array<float, amino_acid_count>> frequencies(hmm.length());
    for (int i = 0; i < length; ++i) {
        float* const row = scores.values.data() + static_cast<std::size_t>(i) * code_count;
        for (int a = 0; a < amino_acid_count; ++a) {
            double const emission = frequencies[i][a] = hmm.match(i, a);
            row[a] = static_cast<float>(std::log(emission / hmmer_background[a]) / blosum62_lambda());
        }
        row[gap_code] = blosum62[0][gap_code];
        row[unknown_code] = blosum62[0][unknown_code];
    }
    adjust(scores, frequencies, query, options);
    return scores;
}

IntegerScores round_scores(PositionScores const& scores, double scale) {
    IntegerScores rounded{scores.length, scale,
                          std::vector<std::int8_t>(static_cast<std::size_t>(scores.length) * IntegerScores::row_width)};
    for (int i = 0; i < scores.length; ++i)
        for (int code = 0; code < IntegerScores::row_width; ++code) {
            // Half away from zero, as std::lround, which takes a function call a score.
            double const value = std::clamp(scale * scores.at(i, std::min<int>(code, unknown_code)), -127.0, 127.0);
            rounded.values[static_cast<std::size_t>(i) * IntegerScores::row_width + code] =
                static_cast<std::int8_t>(value + std::copysign(0.5, value));
        }
    return rounded;
}

} // namespace tape
