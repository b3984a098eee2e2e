#include "align/statistics.hpp"

#include "align/hmm_statistics.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <random>
#include <span>
#include <vector>

namespace tape {
namespace {

double normal_cdf(double x) { return 0.5 * std::erfc(-x / std::numbers::sqrt2); }
double normal_density(double x) { return std::exp(-0.5 * x * x) / std::sqrt(2 * std::numbers::pi); }

/// E[max(0, length - X)], X normal: what is left of a sequence once an alignment of that score has been placed; and P(X
/// < length).
struct Remainder {
    double expected, fits;
};

Remainder remainder(double length, double mean, double variance) {
    double const deviation = std::sqrt(variance), left = length - mean, standard = left / deviation;
    double const fits = normal_cdf(standard);
    return {left * fits + deviation * normal_density(standard), fits};
}

/// BLOSUM62's gapped score of so many bits.
double half_bits(double bits) {
    return (bits * std::numbers::ln2 + std::log(blosum62_gapped.k)) / blosum62_gapped.lambda;
}

/// Chance that an alignment of random sequences of these lengths reaches the bits.
double chance(double bits, double query_length, double target_length) {
    return effective_area(blosum62_gapped, query_length, target_length, std::max(0.0, half_bits(bits))) *
           std::exp2(-bits);
}

/// Bits at which that chance is `p`: the area falls with them as well.
double bits_of_chance(double p, double query_length, double target_length) {
    double low = 0, high = 64;
    for (int step = 0; step < 50; ++step) {
        double const middle = 0.5 * (low + high);
        (chance(middle, query_length, target_length) > p ? low : high) = middle;
    }
    return low;
}

} // namespace

double effective_area(AlignmentStatistics const& statistics, double query_length, double target_length, double score) {
    double const mean = std::max(0.0, statistics.a * score + statistics.b);
    double const variance =
        std::max(2 * statistics.alpha / statistics.lambda, statistics.alpha * score + statistics.beta);
    double const covariance =
        std::max(2 * statistics.sigma / statistics.lambda, statistics.sigma * score + statistics.tau);
    auto const query = remainder(query_length, mean, variance), target = remainder(target_length, mean, variance);
    return query.expected * target.expected + covariance * query.fits * target.fits;
}

EvalueModel::EvalueModel(ForwardModel const& model, std::size_t target_count)
    : query_length_{static_cast<double>(model.length())}, target_count_{static_cast<double>(target_count)} {
    constexpr std::size_t samples = 200, length = 100;
    constexpr double tail = 0.04;
    std::mt19937_64 random{42};
    std::vector<std::vector<Residue>> sequences;
    while (sequences.size() < samples) sequences.push_back(random_residues(background_frequencies, length, random));
    auto const scores =
        forward_scores(model, std::vector<std::span<Residue const>>(sequences.begin(), sequences.end()));
    auto const [lowest, highest] = std::ranges::minmax(scores);
    if (lowest == highest) { // a query of unknown residues
        log2_k_ = highest;
        return;
    }
    log2_k_ = fit_gumbel(scores).upper_quantile(tail) - bits_of_chance(tail, query_length_, length);
}

double EvalueModel::evalue(double score, std::size_t target_length) const {
    return target_count_ * chance(bits(score), query_length_, static_cast<double>(target_length));
}

double gapped_threshold(double query_length, double target_length, double p) {
    return std::max(1.0, half_bits(bits_of_chance(p, query_length, target_length)));
}

double ungapped_threshold(double query_length, double target_length, double p) {
    double const area = std::max(1.0, query_length) * std::max(1.0, target_length);
    return std::max(1.0, std::log(blosum62_ungapped_k * area / p) / blosum62_ungapped_lambda);
}

} // namespace tape
