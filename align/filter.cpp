#include "align/filter.hpp"

#include "align/bit_rows.hpp"
#include "align/substitution.hpp"
#include "data/error.hpp"

#include <algorithm>
#include <numeric>
#include <optional>

namespace tape {
namespace {

constexpr std::size_t block_length = 50;
constexpr double rounding = 1e-9; // 4 of 5 pairs are not above 80%

void check(FilterOptions const& options) {
    for (auto const& [value, name] : {std::pair{options.min_coverage, "minimum coverage"},
                                      {options.min_query_identity, "minimum identity to the query"},
                                      {options.max_query_identity, "maximum identity to the query"},
                                      {options.max_pairwise_identity, "maximum pairwise identity"}})
        if (!(value >= 0 && value <= 1))
            throw usage_error{std::string{name} + ": expected 0 to 1, saw " + std::to_string(value)};
    if (options.min_query_identity > options.max_query_identity)
        throw usage_error{"minimum identity to the query " + std::to_string(options.min_query_identity) +
                          " is above the maximum " + std::to_string(options.max_query_identity)};
}

/// Mean score of the facing pairs in bits; nothing to judge without any.
double score_per_column(Msa const& msa, std::size_t row) {
    auto const &query = msa.rows.front().columns, &columns = msa.rows[row].columns;
    int sum = 0, pairs = 0;
    for (std::size_t c = 0; c < columns.size(); ++c)
        if (query[c] < amino_acid_count && columns[c] < amino_acid_count)
            sum += blosum62[query[c]][columns[c]], ++pairs;
    return pairs > 0 ? 0.5 * sum / pairs : -std::numeric_limits<double>::infinity();
}

bool passes_alone(Msa const& msa, BitRows const& bits, std::size_t row, FilterOptions const& options) {
    auto const [both, same] = bits.pairs(0, row);
    double const identity = both > 0 ? static_cast<double>(same) / both : 0;
    auto const& columns = msa.rows[row].columns;
    auto const letters = std::ranges::count_if(columns, [](Residue code) { return code != gap_code; });
    return static_cast<double>(letters) >= options.min_coverage * static_cast<double>(columns.size()) - rounding &&
           identity >= options.min_query_identity - rounding && identity <= options.max_query_identity + rounding &&
           (options.min_score == -std::numeric_limits<double>::infinity() ||
            score_per_column(msa, row) >= options.min_score);
}

/// Taking rows one after another, with the highest identity of each candidate to those taken. A candidate is compared
/// with a taken row once, however often it is asked for.
class Selection {
  public:
    Selection(Msa const& msa, BitRows const& bits)
        : msa_{msa}, bits_{bits}, nearest_(msa.depth(), -1.0), compared_(msa.depth(), 0),
          rows_in_block_((msa.length() + block_length - 1) / block_length, 0) {}

    /// Highest identity of a row to the rows taken; stops early once it is above `bound`.
    [[nodiscard]] bool within(std::size_t row, double bound) {
        for (; compared_[row] < taken_.size() && nearest_[row] <= bound + rounding; ++compared_[row]) {
            auto const [both, same] = bits_.pairs(row, taken_[compared_[row]]);
            if (both > 0) nearest_[row] = std::max(nearest_[row], static_cast<double>(same) / both);
        }
        return nearest_[row] <= bound + rounding;
    }

    void take(std::size_t row) {
        taken_.push_back(row);
        for (std::size_t b = 0; b < rows_in_block_.size(); ++b)
            if (covers(row, b)) ++rows_in_block_[b];
    }

    /// A row that helps some block to `wanted` rows.
    [[nodiscard]] bool helps(std::size_t row, std::size_t wanted) const {
        for (std::size_t b = 0; b < rows_in_block_.size(); ++b)
            if (rows_in_block_[b] < wanted && covers(row, b)) return true;
        return false;
    }

    [[nodiscard]] std::vector<std::size_t> taken() && {
        std::ranges::sort(taken_);
        return std::move(taken_);
    }

  private:
    /// At least half of a block's columns are residues.
    [[nodiscard]] bool covers(std::size_t row, std::size_t block) const {
        auto const& columns = msa_.rows[row].columns;
        std::size_t const begin = block * block_length, end = std::min(begin + block_length, columns.size());
        auto const residues = std::count_if(columns.begin() + static_cast<std::ptrdiff_t>(begin),
                                            columns.begin() + static_cast<std::ptrdiff_t>(end),
                                            [](Residue code) { return code < amino_acid_count; });
        return 2 * static_cast<std::size_t>(residues) >= end - begin;
    }

    Msa const& msa_;
    BitRows const& bits_;
    std::vector<double> nearest_;
    std::vector<std::size_t> compared_; ///< of each row: how many of the rows taken it was compared with
    std::vector<std::size_t> taken_;
    std::vector<std::size_t> rows_in_block_;
};

/// Bounds on identity, one pass each: only the maximum, or 15% and up in steps of 5% for diversity.
std::vector<double> identity_bounds(FilterOptions const& options) {
    std::vector<double> bounds;
    if (options.diversity > 0)
        for (int percent = 15; percent < 100 && percent / 100.0 < options.max_pairwise_identity; percent += 5)
            bounds.push_back(percent / 100.0);
    bounds.push_back(options.max_pairwise_identity);
    return bounds;
}

} // namespace

bool FilterOptions::keeps_all() const {
    return min_coverage <= 0 && min_query_identity <= 0 && max_query_identity >= 1 && max_pairwise_identity >= 1 &&
           min_score == -std::numeric_limits<double>::infinity() && diversity == 0;
}

std::vector<std::size_t> rows_kept(Msa const& msa, FilterOptions const& options) {
    check(options);
    std::vector<std::size_t> order(msa.depth());
    std::iota(order.begin(), order.end(), std::size_t{0});
    if (options.keeps_all() || msa.depth() < 2) return order;
    BitRows const bits{msa};
    std::erase_if(order, [&](std::size_t row) { return row > 0 && !passes_alone(msa, bits, row, options); });
    if (options.max_pairwise_identity >= 1 && options.diversity == 0) return order;
    std::ranges::stable_sort(order.begin() + 1, order.end(), std::greater{},
                             [&](std::size_t row) { return bits.residues(row); });
    Selection selection{msa, bits};
    selection.take(0);
    order.erase(order.begin());
    for (double const bound : identity_bounds(options))
        std::erase_if(order, [&](std::size_t row) {
            bool const wanted = options.diversity == 0 || selection.helps(row, options.diversity);
            bool const taken = wanted && selection.within(row, bound);
            if (taken) selection.take(row);
            return taken;
        });
    return std::move(selection).taken();
}

Msa filtered(Msa const& msa, FilterOptions const& options) {
    Msa result{.rows = {}, .source = msa.source};
    for (std::size_t const row : rows_kept(msa, options)) result.rows.push_back(msa.rows[row]);
    return result;
}

} // namespace tape
