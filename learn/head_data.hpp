#pragma once

#include "features/feature_source.hpp"
#include "learn/heads.hpp"

#include <cstdint>
#include <random>
#include <span>
#include <string>
#include <vector>

// What the heads share that needs no tensor: checks on features and seeded order.
namespace tape {

/// @param split  "training", "validation" or "test", for the message
/// @throws data_error naming split, protein, row and column of the first value that is not finite, or a width that
/// differs
void check_features(FeatureMatrix const& rows, int width, std::string const& split, std::size_t protein);

/// As above for a matrix with one row a protein.
void check_pooled(FeatureMatrix const& rows, Eigen::Index width, std::string const& split);

/// @throws data_error naming split, protein and label where one is outside 0..classes - 1, or their number is not that
/// of the proteins
void check_labels(std::span<int const> labels, Eigen::Index proteins, int classes, std::string const& split);
/// The same for values that are not finite.
void check_values(std::span<double const> values, Eigen::Index proteins, std::string const& split);

/// Share of rows whose largest value is at their label; 0 of none.
double accuracy(FeatureMatrix const& probabilities, std::span<int const> labels);

/// Columns of each source; one source where the options name none. @throws error if they do not add up to `width`.
std::vector<int> source_widths(HeadOptions const& options, int width);

/// Mean and standard deviation of every column over matrices added one after another (Chan, Golub & LeVeque, Am Stat
/// 37:242, 1983), so that a split larger than memory can be standardised.
class RunningScaling {
  public:
    /// @param source_widths  columns of each source, D in all
    explicit RunningScaling(std::vector<int> const& source_widths);
    void add(Eigen::Ref<FeatureMatrix const> rows);
    /// (value - mean) / deviation clipped to +-10, times sqrt(D / (sources x columns of its own)), so that every source
    /// has the same total variance and a single one stays as it is; a constant column becomes 0.
    void standardise(Eigen::Ref<FeatureMatrix> rows) const;

  private:
    Eigen::ArrayXd mean_, square_;
    Eigen::ArrayXf source_scale_;
    double count_ = 0;
};

/// A permutation of [0, count) that depends on the generator only, never on the standard library.
std::vector<std::size_t> shuffled_order(std::size_t count, std::mt19937_64& random);

} // namespace tape
