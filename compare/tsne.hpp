#pragma once

#include <array>
#include <cstddef>
#include <span>
#include <vector>

namespace tape {

struct TsneOptions {
    double perplexity = 30;
    int iterations = 1000;
    int exaggerated_iterations = 250; ///< of those, with attraction multiplied
    double exaggeration = 12;
    int pca_dimensions = 50; ///< wider input is reduced to this first
    int threads = 0;         ///< 0 = all
};

struct TsneResult {
    std::vector<std::array<float, 2>> points;
    double kl_divergence = 0; ///< of the input's neighbourhoods from the map's, nats
    double perplexity = 0;    ///< as used: at most (n - 1) / 3
};

/// t-SNE (van der Maaten & Hinton, JMLR 9:2579, 2008), exact: every pair attracts and repels. Learning rate n /
/// exaggeration / 4, at least 50, and a start from the first two principal components (Kobak & Berens, Nat Commun
/// 10:5416, 2019), so that there is no chance in it: the same input gives the same bytes, with any number of threads.
///
/// @param x  n x d, row-major, finite
/// @throws data_error naming the row of a value that is not finite; error if x.size() != n d
/// O(n^2 iterations) time, O(n^2 + n d) memory: 2,000 points take about five seconds on two cores
/// (tests/compare/tsne_test.cpp).
TsneResult tsne(std::span<float const> x, std::size_t n, std::size_t d, TsneOptions const& options = {});

/// Scores on the first `components` principal components, n x components row-major: exactly from the covariance for up
/// to 256 columns, else by subspace iteration from a fixed start (Halko, Martinsson & Tropp, SIAM Rev 53:217, 2011).
/// Each component's sign makes its score of largest magnitude positive.
std::vector<float> principal_components(std::span<float const> x, std::size_t n, std::size_t d, int components,
                                        int threads = 0);

/// Row-stochastic neighbourhoods p(j | i), n x n with zero diagonal: Gaussian of squared distances whose entropy is
/// log(perplexity) to 1e-9, found by bisection.
std::vector<float> neighbourhoods(std::span<float const> x, std::size_t n, std::size_t d, double perplexity,
                                  int threads = 0);

} // namespace tape
