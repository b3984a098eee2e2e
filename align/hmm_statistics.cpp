#include "align/hmm_statistics.hpp"

#include "align/substitution.hpp"
#include "data/error.hpp"
#include "data/parallel.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <numeric>

namespace tape {
namespace {

constexpr double never = -std::numeric_limits<double>::infinity();

/// Probabilities of the states around the model for a sequence of a given length: a residue emitted by N, J or C, and
/// the step away from them. Two hits are expected; E goes to J or C with 1/2 each.
struct LengthModel {
    double loop, move, null_score;

    explicit LengthModel(std::size_t length) {
        auto const l = static_cast<double>(length);
        loop = l / (l + 3), move = 3 / (l + 3);
        null_score = l * std::log(l / (l + 1)) - std::log(l + 1);
    }
    [[nodiscard]] double bits(double log_odds) const { return (log_odds - null_score) * std::numbers::log2e; }
    /// Score of a filter, where N, J and C emit for nothing: L log(L / (L + 3)), about -3, is paid once by all.
    [[nodiscard]] double filter_bits(double log_odds) const { return bits(log_odds - 3); }
};

/// Rounded as HMMER's byte scores are.
double third_bits(double nats) { return std::round(nats * 3 * std::numbers::log2e) * std::numbers::ln2 / 3; }

} // namespace

HmmScorer::HmmScorer(ProfileHmm const& hmm) : length_{hmm.length()} {
    std::size_t const m = length_;
    odds_.assign(residue_code_count * m, 1.0);
    for (std::size_t k = 0; k < m; ++k)
        for (std::size_t a = 0; a < amino_acid_count; ++a)
            odds_[a * m + k] =
                static_cast<double>(hmm.match(static_cast<Eigen::Index>(k), static_cast<Eigen::Index>(a))) /
                hmmer_background[a];
    auto const occupancy = match_occupancy(hmm);
    double total = 0;
    for (std::size_t k = 0; k < m; ++k) total += occupancy[k] * static_cast<double>(m - k);
    for (double const o : occupancy) entry_.push_back(o / total);
    probability_.resize(transition_count * (m + 1));
    for (std::size_t t = 0; t < transition_count; ++t)
        for (std::size_t k = 0; k <= m; ++k)
            probability_[t * (m + 1) + k] =
                static_cast<double>(hmm.transitions(static_cast<Eigen::Index>(k), static_cast<Eigen::Index>(t)));
    auto const logarithms = [](std::vector<double> const& values) {
        std::vector<double> logs(values.size());
        std::ranges::transform(values, logs.begin(), [](double v) { return v > 0 ? std::log(v) : never; });
        return logs;
    };
    log_odds_ = logarithms(odds_), log_entry_ = logarithms(entry_), log_ = logarithms(probability_);
    third_bits_.resize(log_odds_.size());
    std::ranges::transform(log_odds_, third_bits_.begin(), third_bits);
}

double HmmScorer::msv(std::span<Residue const> sequence) const {
    LengthModel const model{sequence.size()};
    std::size_t const m = length_;
    double const move = third_bits(std::log(model.move)), half = third_bits(std::log(0.5));
    double const enter = third_bits(std::log(2.0 / (static_cast<double>(m) * static_cast<double>(m + 1))));
    std::vector<double> match(m + 1, never); // match[k]: best diagonal that ends in M_k; index 0 stays empty
    double ended = never, begin = move;      // ended: best of J and of C, which E reaches alike
    for (Residue const code : sequence) {
        double const* score = &third_bits_[code * m];
        double best = never;
        for (std::size_t k = m; k >= 1; --k) {
            match[k] = std::max(match[k - 1], begin + enter) + score[k - 1];
            best = std::max(best, match[k]);
        }
        ended = std::max(ended, best + half);
        begin = std::max(0.0, ended) + move;
    }
    return model.filter_bits(ended + move);
}

double HmmScorer::viterbi(std::span<Residue const> sequence) const {
    LengthModel const model{sequence.size()};
    std::size_t const m = length_, stride = m + 1;
    double const move = std::log(model.move), half = std::log(0.5);
    auto const transition = [&](Transition t) { return log_.data() + t * stride; };
    double const *mm = transition(match_match), *mi = transition(match_insert), *md = transition(match_delete),
                 *im = transition(insert_match), *ii = transition(insert_insert), *dm = transition(delete_match),
                 *dd = transition(delete_delete);
    std::vector<double> match(stride, never), insert(stride, never), gap(stride, never), next(stride, never);
    double ended = never, begin = move;
    for (Residue const code : sequence) {
        double const* score = &log_odds_[code * m];
        for (std::size_t k = 1; k <= m; ++k)
            next[k] = std::max({match[k - 1] + mm[k - 1], insert[k - 1] + im[k - 1], gap[k - 1] + dm[k - 1],
                                begin + log_entry_[k - 1]}) +
                      score[k - 1];
        for (std::size_t k = 1; k < m; ++k) insert[k] = std::max(match[k] + mi[k], insert[k] + ii[k]);
        match.swap(next);
        for (std::size_t k = 1; k <= m; ++k) gap[k] = std::max(match[k - 1] + md[k - 1], gap[k - 1] + dd[k - 1]);
        double const best = std::max(*std::ranges::max_element(match), *std::ranges::max_element(gap));
        ended = std::max(ended, best + half);
        begin = std::max(0.0, ended) + move;
    }
    return model.filter_bits(ended + move);
}

double HmmScorer::forward(std::span<Residue const> sequence) const {
    LengthModel const model{sequence.size()};
    std::size_t const m = length_, stride = m + 1;
    auto const transition = [&](Transition t) { return probability_.data() + t * stride; };
    double const *mm = transition(match_match), *mi = transition(match_insert), *md = transition(match_delete),
                 *im = transition(insert_match), *ii = transition(insert_insert), *dm = transition(delete_match),
                 *dd = transition(delete_delete);
    std::vector<double> match(stride, 0.0), insert(stride, 0.0), gap(stride, 0.0), next(stride, 0.0);
    double n = 1, j = 0, c = 0, begin = model.move;
    for (Residue const code : sequence) {
        double const* odds = &odds_[code * m];
        for (std::size_t k = 1; k <= m; ++k)
            next[k] = (match[k - 1] * mm[k - 1] + insert[k - 1] * im[k - 1] + gap[k - 1] * dm[k - 1] +
                       begin * entry_[k - 1]) *
                      odds[k - 1];
        for (std::size_t k = 1; k < m; ++k) insert[k] = match[k] * mi[k] + insert[k] * ii[k];
        match.swap(next);
        for (std::size_t k = 1; k <= m; ++k) gap[k] = match[k - 1] * md[k - 1] + gap[k - 1] * dd[k - 1];
        double const end =
            std::accumulate(match.begin(), match.end(), 0.0) + std::accumulate(gap.begin(), gap.end(), 0.0);
        n *= model.loop;
        j = j * model.loop + 0.5 * end, c = c * model.loop + 0.5 * end;
        begin = (n + j) * model.move;
    }
    return model.bits(std::log(c * model.move));
}

std::vector<Residue> random_residues(std::array<double, amino_acid_count> const& frequencies, std::size_t length,
                                     std::mt19937_64& random) {
    std::array<double, amino_acid_count> cumulative{};
    std::partial_sum(frequencies.begin(), frequencies.end(), cumulative.begin());
    std::vector<Residue> sequence(length);
    for (Residue& code : sequence) {
        // 53 bits of the generator as a number in [0, 1): the same on every standard library.
        double const u = static_cast<double>(random() >> 11) * 0x1p-53 * cumulative.back();
        code = static_cast<Residue>(std::ranges::upper_bound(cumulative, u) - cumulative.begin());
    }
    return sequence;
}

double gumbel_location(std::span<double const> scores, double lambda) {
    double sum = 0;
    for (double const x : scores) sum += std::exp(-lambda * x);
    return -std::log(sum / static_cast<double>(scores.size())) / lambda;
}

GumbelFit fit_gumbel(std::span<double const> scores) {
    if (scores.empty()) throw error{"a Gumbel law cannot be fitted to no scores"};
    auto const [lowest, highest] = std::ranges::minmax(scores);
    if (lowest == highest) throw error{"a Gumbel law cannot be fitted to equal scores"};
    double const mean = std::accumulate(scores.begin(), scores.end(), 0.0) / static_cast<double>(scores.size());
    // Derivative of the log-likelihood in lambda, mu eliminated: 1/lambda - mean + sum x e^(-lambda x) / sum e^(-lambda
    // x). It falls with lambda; differences to the lowest score keep the exponentials in range.
    auto const slope = [&, low = lowest](double lambda) {
        double weights = 0, weighted = 0;
        for (double const x : scores) {
            double const weight = std::exp(-lambda * (x - low));
            weights += weight, weighted += weight * x;
        }
        return 1 / lambda - mean + weighted / weights;
    };
    double low = 0.01, high = 1;
    while (slope(high) > 0 && high < 1e6) high *= 2;
    while (slope(low) < 0 && low > 1e-9) low /= 2;
    for (int step = 0; step < 100; ++step) {
        double const middle = 0.5 * (low + high);
        (slope(middle) > 0 ? low : high) = middle;
    }
    double const lambda = 0.5 * (low + high);
    return {gumbel_location(scores, lambda), lambda};
}

HmmStatistics calibrate(ProfileHmm const& hmm, std::uint64_t seed, int threads) {
    constexpr std::size_t samples = 200, gumbel_length = 200, forward_length = 100;
    constexpr double tail = 0.04;
    HmmScorer const scorer{hmm};
    std::vector<double> msv(samples), viterbi(samples), forward(samples);
    parallel_for(samples, threads, [&](std::size_t s, int) {
        std::mt19937_64 random{seed * samples + s};
        auto const sequence = random_residues(hmmer_background, gumbel_length, random);
        msv[s] = scorer.msv(sequence), viterbi[s] = scorer.viterbi(sequence);
        forward[s] = scorer.forward(random_residues(hmmer_background, forward_length, random));
    });
    HmmStatistics statistics;
    statistics.lambda =
        std::numbers::ln2 + 1.44 / (static_cast<double>(hmm.length()) * mean_relative_entropy(hmm.match));
    statistics.msv_mu = gumbel_location(msv, statistics.lambda);
    statistics.viterbi_mu = gumbel_location(viterbi, statistics.lambda);
    auto const fit = fit_gumbel(forward);
    // Score that the fitted law exceeds with probability `tail`, moved back along an exponential of slope lambda.
    statistics.forward_tau = fit.upper_quantile(tail) + std::log(tail) / statistics.lambda;
    return statistics;
}

} // namespace tape
