#include "align/statistics.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

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

EvalueModel::EvalueModel(AlignmentStatistics statistics, std::size_t query_length, Database const& database)
    : statistics_{statistics}, query_length_{static_cast<double>(query_length)},
      target_count_{static_cast<double>(database.size())}, residues_{static_cast<double>(database.residue_count())} {}

double EvalueModel::evalue(double score, std::size_t target_length) const {
    auto const length = static_cast<double>(target_length);
    return target_count_ * statistics_.k * effective_area(statistics_, query_length_, length, score) *
           std::exp(-statistics_.lambda * score);
}

double EvalueModel::bits(double score) const {
    return (statistics_.lambda * score - std::log(statistics_.k)) / std::numbers::ln2;
}

double ungapped_threshold(double query_length, double target_length, double p) {
    double const area = std::max(1.0, query_length) * std::max(1.0, target_length);
    return std::max(1.0, std::log(blosum62_ungapped_k * area / p) / blosum62_ungapped_lambda);
}

} // namespace tape
