#include "align/dirichlet_mixture.hpp"

#include <math.h> // lgamma_r

#include <algorithm>
#include <cmath>

namespace tape {
namespace {

struct Component {
    double weight;
    std::array<double, amino_acid_count> alpha;
};

// Parameters of the paper's table, in the order ACDEFGHIKLMNPQRSTVWY, with the mixture weights that HMMER 3 uses (the
// journal's table rounds some of them differently).
// clang-format off
constexpr std::array<Component, 9> blocks9{{
    {.weight = 0.178091,
     .alpha = {0.270671, 0.039848, 0.017576, 0.016415, 0.014268, 0.131916, 0.012391, 0.022599, 0.020358, 0.030727,
               0.015315, 0.048298, 0.053803, 0.020662, 0.023612, 0.216147, 0.147226, 0.065438, 0.003758, 0.009621}},
    {.weight = 0.056591,
     .alpha = {0.021465, 0.010300, 0.011741, 0.010883, 0.385651, 0.016416, 0.076196, 0.035329, 0.013921, 0.093517,
               0.022034, 0.028593, 0.013086, 0.023011, 0.018866, 0.029156, 0.018153, 0.036100, 0.071770, 0.419641}},
    {.weight = 0.0960191,
     .alpha = {0.561459, 0.045448, 0.438366, 0.764167, 0.087364, 0.259114, 0.214940, 0.145928, 0.762204, 0.247320,
               0.118662, 0.441564, 0.174822, 0.530840, 0.465529, 0.583402, 0.445586, 0.227050, 0.029510, 0.121090}},
    {.weight = 0.0781233,
     .alpha = {0.070143, 0.011140, 0.019479, 0.094657, 0.013162, 0.048038, 0.077000, 0.032939, 0.576639, 0.072293,
               0.028240, 0.080372, 0.037661, 0.185037, 0.506783, 0.073732, 0.071587, 0.042532, 0.011254, 0.028723}},
    {.weight = 0.0834977,
     .alpha = {0.041103, 0.014794, 0.005610, 0.010216, 0.153602, 0.007797, 0.007175, 0.299635, 0.010849, 0.999446,
               0.210189, 0.006127, 0.013021, 0.019798, 0.014509, 0.012049, 0.035799, 0.180085, 0.012744, 0.026466}},
    {.weight = 0.0904123,
     .alpha = {0.115607, 0.037381, 0.012414, 0.018179, 0.051778, 0.017255, 0.004911, 0.796882, 0.017074, 0.285858,
               0.075811, 0.014548, 0.015092, 0.011382, 0.012696, 0.027535, 0.088333, 0.944340, 0.004373, 0.016741}},
    {.weight = 0.114468,
     .alpha = {0.093461, 0.004737, 0.387252, 0.347841, 0.010822, 0.105877, 0.049776, 0.014963, 0.094276, 0.027761,
               0.010040, 0.187869, 0.050018, 0.110039, 0.038668, 0.119471, 0.065802, 0.025430, 0.003215, 0.018742}},
    {.weight = 0.0682132,
     .alpha = {0.452171, 0.114613, 0.062460, 0.115702, 0.284246, 0.140204, 0.100358, 0.550230, 0.143995, 0.700649,
               0.276580, 0.118569, 0.097470, 0.126673, 0.143634, 0.278983, 0.358482, 0.661750, 0.061533, 0.199373}},
    {.weight = 0.234585,
     .alpha = {0.005193, 0.004039, 0.006722, 0.006121, 0.003468, 0.016931, 0.003647, 0.002184, 0.005019, 0.005990,
               0.001473, 0.004158, 0.009055, 0.003630, 0.006583, 0.003172, 0.003690, 0.002967, 0.002772, 0.002686}},
}};
// clang-format on

double sum_of(std::span<double const> values) {
    double sum = 0;
    for (double const value : values) sum += value;
    return sum;
}

/// std::lgamma without its global sign, which threads would race for.
double log_gamma(double x) {
    int sign = 0;
    return ::lgamma_r(x, &sign);
}

/// log of weight times the probability of the counts under a component, without the factor that all components share.
double log_evidence(Component const& component, std::span<double const, amino_acid_count> counts) {
    double const alpha = sum_of(component.alpha);
    double value = std::log(component.weight) + log_gamma(alpha) - log_gamma(alpha + sum_of(counts));
    for (int a = 0; a < amino_acid_count; ++a)
        if (counts[a] > 0) value += log_gamma(component.alpha[a] + counts[a]) - log_gamma(component.alpha[a]);
    return value;
}

} // namespace

std::array<double, amino_acid_count> dirichlet_mixture_mean(std::span<double const, amino_acid_count> counts) {
    std::array<double, blocks9.size()> evidence{};
    std::ranges::transform(blocks9, evidence.begin(), [&](auto const& part) { return log_evidence(part, counts); });
    double const largest = *std::ranges::max_element(evidence), total = sum_of(counts);
    std::array<double, amino_acid_count> mean{};
    for (std::size_t q = 0; q < blocks9.size(); ++q) {
        double const share = std::exp(evidence[q] - largest) / (total + sum_of(blocks9[q].alpha));
        for (int a = 0; a < amino_acid_count; ++a) mean[a] += share * (counts[a] + blocks9[q].alpha[a]);
    }
    double const sum = sum_of(mean);
    for (double& value : mean) value /= sum;
    return mean;
}

} // namespace tape
