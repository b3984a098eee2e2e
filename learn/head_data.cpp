#include "learn/head_data.hpp"

#include "data/error.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace tape {

void check_features(FeatureMatrix const& rows, int width, std::string const& split, std::size_t protein) {
    if (rows.cols() != width)
        throw data_error{split + " protein " + std::to_string(protein) + " has features of width " +
                         std::to_string(rows.cols()) + ", expected " + std::to_string(width)};
    if (rows.allFinite()) return;
    for (Eigen::Index r = 0; r < rows.rows(); ++r)
        for (Eigen::Index c = 0; c < rows.cols(); ++c)
            if (!std::isfinite(rows(r, c)))
                throw data_error{split + " protein " + std::to_string(protein) + " has the feature value " +
                                 std::to_string(rows(r, c)) + " at row " + std::to_string(r) + ", column " +
                                 std::to_string(c) + "; features must be finite"};
}

void check_pooled(FeatureMatrix const& rows, Eigen::Index width, std::string const& split) {
    if (rows.rows() > 0 && rows.cols() != width)
        throw data_error{split + " proteins have features of width " + std::to_string(rows.cols()) + ", expected " +
                         std::to_string(width)};
    if (rows.allFinite()) return;
    for (Eigen::Index r = 0; r < rows.rows(); ++r)
        for (Eigen::Index c = 0; c < rows.cols(); ++c)
            if (!std::isfinite(rows(r, c)))
                throw data_error{split + " protein " + std::to_string(r) + " has the feature value " +
                                 std::to_string(rows(r, c)) + " at column " + std::to_string(c) +
                                 "; features must be finite"};
}

void check_labels(std::span<int const> labels, Eigen::Index proteins, int classes, std::string const& split) {
    if (static_cast<Eigen::Index>(labels.size()) != proteins)
        throw data_error{split + " split has " + std::to_string(proteins) + " feature rows but " +
                         std::to_string(labels.size()) + " labels"};
    for (std::size_t n = 0; n < labels.size(); ++n)
        if (labels[n] < 0 || labels[n] >= classes)
            throw data_error{split + " protein " + std::to_string(n) + " has the class label " +
                             std::to_string(labels[n]) + ", outside 0.." + std::to_string(classes - 1)};
}

double accuracy(FeatureMatrix const& probabilities, std::span<int const> labels) {
    if (labels.empty()) return 0;
    std::size_t right = 0;
    for (std::size_t n = 0; n < labels.size(); ++n) {
        Eigen::Index best = 0;
        probabilities.row(static_cast<Eigen::Index>(n)).maxCoeff(&best);
        right += best == labels[n];
    }
    return static_cast<double>(right) / static_cast<double>(labels.size());
}

void check_values(std::span<double const> values, Eigen::Index proteins, std::string const& split) {
    if (static_cast<Eigen::Index>(values.size()) != proteins)
        throw data_error{split + " split has " + std::to_string(proteins) + " feature rows but " +
                         std::to_string(values.size()) + " values"};
    for (std::size_t n = 0; n < values.size(); ++n)
        if (!std::isfinite(values[n]))
            throw data_error{split + " protein " + std::to_string(n) + " has the value " + std::to_string(values[n]) +
                             "; labels must be finite"};
}

std::vector<int> source_widths(HeadOptions const& options, int width) {
    if (options.source_widths.empty()) return {width};
    if (std::accumulate(options.source_widths.begin(), options.source_widths.end(), 0) != width)
        throw error{"the widths of an arm's sources do not add up to the " + std::to_string(width) +
                    " columns of its features"};
    return options.source_widths;
}

RunningScaling::RunningScaling(std::vector<int> const& source_widths) {
    Eigen::Index const width = std::accumulate(source_widths.begin(), source_widths.end(), Eigen::Index{0});
    mean_ = square_ = Eigen::ArrayXd::Zero(width);
    source_scale_.resize(width);
    auto const sources = std::ranges::count_if(source_widths, [](int own) { return own > 0; });
    Eigen::Index begin = 0;
    for (int const own : source_widths) {
        source_scale_.segment(begin, own) =
            std::sqrt(static_cast<float>(width) / static_cast<float>(std::max<std::ptrdiff_t>(1, sources * own)));
        begin += own;
    }
}

void RunningScaling::add(Eigen::Ref<FeatureMatrix const> rows) {
    if (rows.rows() == 0) return;
    auto const added = static_cast<double>(rows.rows());
    Eigen::ArrayXd mean = Eigen::ArrayXd::Zero(rows.cols()), square = Eigen::ArrayXd::Zero(rows.cols());
    for (Eigen::Index r = 0; r < rows.rows(); ++r) mean += rows.row(r).transpose().array().cast<double>();
    mean /= added;
    for (Eigen::Index r = 0; r < rows.rows(); ++r)
        square += (rows.row(r).transpose().array().cast<double>() - mean).square();
    Eigen::ArrayXd const shift = mean - mean_;
    double const total = count_ + added;
    mean_ += shift * (added / total);
    square_ += square + shift.square() * (count_ * added / total);
    count_ = total;
}

void RunningScaling::standardise(Eigen::Ref<FeatureMatrix> rows) const {
    Eigen::ArrayXd const deviation = (square_ / std::max(1.0, count_)).sqrt();
    // The spread that rounding alone leaves in a constant column is no signal.
    Eigen::ArrayXf const scale =
        (deviation > 1e-7 * mean_.abs() + 1e-30).select(deviation.max(1e-30).inverse(), 0.0).cast<float>();
    Eigen::ArrayXf const mean = mean_.cast<float>();
    for (Eigen::Index r = 0; r < rows.rows(); ++r)
        rows.row(r) = (((rows.row(r).transpose().array() - mean) * scale).min(10.0F).max(-10.0F) * source_scale_)
                          .matrix()
                          .transpose();
}

std::vector<std::size_t> shuffled_order(std::size_t count, std::mt19937_64& random) {
    std::vector<std::size_t> order(count);
    std::iota(order.begin(), order.end(), std::size_t{0});
    for (std::size_t k = count; k > 1; --k) std::swap(order[k - 1], order[random() % k]);
    return order;
}

} // namespace tape
