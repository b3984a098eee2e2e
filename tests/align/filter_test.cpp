#include "align/filter.hpp"
#include "align/msa.hpp"
#include "align/substitution.hpp"
#include "data/error.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

namespace tape {
namespace {

/// Relatives of one query at many distances, some of them fragments.
Msa family(unsigned seed, std::size_t rows, std::size_t length) {
    std::mt19937 random{seed};
    Msa msa;
    std::vector<Residue> query(length);
    for (auto& code : query) code = static_cast<Residue>(random() % 20);
    for (std::size_t r = 0; r < rows; ++r) {
        auto const& parent = r == 0 ? query : msa.rows[random() % r].columns;
        std::vector<Residue> columns = parent;
        if (r > 0) {
            unsigned const rate = random() % 40;
            for (std::size_t c = 0; c < length; ++c) {
                if (random() % 100 < rate) columns[c] = static_cast<Residue>(random() % 20);
                if (columns[c] == gap_code && random() % 2) columns[c] = query[c];
            }
            if (random() % 3 == 0)
                for (std::size_t c = random() % length; c < length; ++c) columns[c] = gap_code;
        }
        msa.rows.push_back({.id = "r" + std::to_string(r), .description = {}, .columns = columns, .insertions = {}});
    }
    return msa;
}

/// Same over facing residue pairs, the slow way; -1 without any.
double identity(Msa const& msa, std::size_t a, std::size_t b) {
    int both = 0, same = 0;
    for (std::size_t c = 0; c < msa.length(); ++c) {
        Residue const x = msa.rows[a].columns[c], y = msa.rows[b].columns[c];
        if (x < 20 && y < 20) ++both, same += x == y;
    }
    return both ? static_cast<double>(same) / both : -1;
}

bool covers_block(Msa const& msa, std::size_t row, std::size_t block) {
    std::size_t const begin = 50 * block, end = std::min(begin + 50, msa.length());
    std::size_t residues = 0;
    for (std::size_t c = begin; c < end; ++c) residues += msa.rows[row].columns[c] < 20;
    return 2 * residues >= end - begin;
}

TEST(Filter, TheDefaultsKeepEverything) {
    Msa const msa = family(1, 30, 60);
    EXPECT_TRUE(FilterOptions{}.keeps_all());
    EXPECT_EQ(rows_kept(msa, {}).size(), 30u);
    EXPECT_EQ(filtered(msa, {}).depth(), 30u);
}

TEST(Filter, CoverageIdentityAndScoreJudgeEachRow) {
    Msa const msa = family(2, 200, 120);
    for (auto const& options : {FilterOptions{.min_coverage = 0.7}, FilterOptions{.min_query_identity = 0.4},
                                FilterOptions{.max_query_identity = 0.6}, FilterOptions{.min_score = 0.5}}) {
        auto const kept = rows_kept(msa, options);
        EXPECT_GT(kept.size(), 1u);
        EXPECT_LT(kept.size(), 200u);
        for (std::size_t row = 1; row < 200; ++row) {
            double letters = 0, score = 0, pairs = 0;
            for (std::size_t c = 0; c < 120; ++c) {
                Residue const x = msa.rows[0].columns[c], y = msa.rows[row].columns[c];
                letters += y != gap_code;
                if (y < 20) score += 0.5 * blosum62[x][y], ++pairs;
            }
            bool const expected = letters / 120 >= options.min_coverage - 1e-9 &&
                                  std::max(0.0, identity(msa, 0, row)) >= options.min_query_identity - 1e-9 &&
                                  identity(msa, 0, row) <= options.max_query_identity + 1e-9 &&
                                  (pairs == 0 ? options.min_score < -1e9 : score / pairs >= options.min_score);
            EXPECT_EQ(std::ranges::binary_search(kept, row), expected) << row;
        }
    }
}

TEST(Filter, NoTwoKeptRowsAreMoreAlikeThanAllowedAndEveryDroppedRowHasItsReason) {
    Msa const msa = family(3, 150, 90);
    auto const kept = rows_kept(msa, {.max_pairwise_identity = 0.8});
    EXPECT_EQ(kept.front(), 0u);
    EXPECT_TRUE(std::ranges::is_sorted(kept));
    for (std::size_t const a : kept)
        for (std::size_t const b : kept) EXPECT_TRUE(a == b || identity(msa, a, b) <= 0.8 + 1e-9) << a << ' ' << b;
    for (std::size_t row = 0; row < 150; ++row)
        EXPECT_TRUE(std::ranges::binary_search(kept, row) ||
                    std::ranges::any_of(kept, [&](std::size_t k) { return identity(msa, k, row) > 0.8; }))
            << row;
}

TEST(Filter, DiversityKeepsEnoughRowsOfEveryBlockAndPrefersDifferentOnes) {
    Msa const msa = family(4, 300, 130);
    auto const kept = rows_kept(msa, {.diversity = 20});
    EXPECT_LT(kept.size(), 100u);
    for (std::size_t block = 0; block < 3; ++block) {
        std::size_t in_all = 0, in_kept = 0;
        for (std::size_t row = 0; row < 300; ++row) in_all += covers_block(msa, row, block);
        for (std::size_t const row : kept) in_kept += covers_block(msa, row, block);
        EXPECT_GE(in_kept, std::min<std::size_t>(20, in_all)) << block;
    }
    auto const mean_identity = [&](std::vector<std::size_t> const& rows) {
        double sum = 0, pairs = 0;
        for (std::size_t const a : rows)
            for (std::size_t const b : rows)
                if (a < b && identity(msa, a, b) >= 0) sum += identity(msa, a, b), ++pairs;
        return sum / pairs;
    };
    std::vector<std::size_t> first(kept.size());
    for (std::size_t r = 0; r < first.size(); ++r) first[r] = r;
    EXPECT_LT(mean_identity(kept), mean_identity(first));
    EXPECT_EQ(rows_kept(msa, {.diversity = 100000}).size(),
              static_cast<std::size_t>(std::ranges::count_if(msa.rows, [&](auto const& row) {
                  auto const index = static_cast<std::size_t>(&row - msa.rows.data());
                  return index == 0 || covers_block(msa, index, 0) || covers_block(msa, index, 1) ||
                         covers_block(msa, index, 2);
              })));
}

TEST(Filter, RowsThatShareNoColumnAreNotAlike) {
    Msa msa;
    for (auto const* text : {"ACDEFGHI", "ACDE----", "----FGHI"})
        msa.rows.push_back({.id = text, .description = {}, .columns = encode_residues(text), .insertions = {}});
    EXPECT_EQ(rows_kept(msa, {.max_pairwise_identity = 0.9}), (std::vector<std::size_t>{0}));
    msa.rows[0].columns = encode_residues("WWWWWWWW");
    EXPECT_EQ(rows_kept(msa, {.max_pairwise_identity = 0.9}), (std::vector<std::size_t>{0, 1, 2}));
}

TEST(Filter, WrongBoundsAreUsageErrors) {
    Msa const msa = family(5, 3, 20);
    EXPECT_THROW((void)rows_kept(msa, {.min_coverage = 1.5}), usage_error);
    EXPECT_THROW((void)rows_kept(msa, {.min_query_identity = 0.9, .max_query_identity = 0.2}), usage_error);
    EXPECT_EQ(rows_kept(Msa{}, {.diversity = 3}).size(), 0u);
}

} // namespace
} // namespace tape
