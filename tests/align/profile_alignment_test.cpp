#include "align/profile_alignment.hpp"
#include "align/substitution.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <numeric>
#include <random>

namespace tape {
namespace {

/// A random alignment: rows of residues and their columns, no column empty.
struct RandomAlignment {
    std::vector<std::vector<Residue>> residues;
    std::vector<std::vector<std::uint32_t>> columns;
    std::vector<float> weights;
    std::size_t length;

    RandomAlignment(std::mt19937_64& random, std::size_t rows, std::size_t length_, double gaps) : length{length_} {
        std::discrete_distribution<int> residue(background_frequencies.begin(), background_frequencies.end());
        std::bernoulli_distribution toggles(gaps);
        for (std::size_t r = 0; r < rows; ++r) {
            residues.emplace_back(), columns.emplace_back();
            weights.push_back(0.5F + static_cast<float>(random() % 8) / 8);
            bool in_gap = false;
            for (std::uint32_t c = 0; c < length; ++c) {
                if (toggles(random)) in_gap = !in_gap;
                if (in_gap && r > 0) continue; // the first row fills every column
                residues.back().push_back(random() % 50 == 0 ? unknown_code : static_cast<Residue>(residue(random)));
                columns.back().push_back(c);
            }
        }
    }
    [[nodiscard]] ColumnProfile profile() const {
        std::vector<PlacedRow> rows;
        for (std::size_t r = 0; r < residues.size(); ++r) rows.push_back({residues[r], columns[r], weights[r]});
        return {rows, length};
    }
};

ProfileScoring blosum_scoring(ProfileGapCosts gaps) {
    ProfileScoring scoring{.gaps = gaps};
    for (int a = 0; a < amino_acid_count; ++a)
        for (int b = 0; b < amino_acid_count; ++b) scoring.scores[a][b] = blosum62[a][b];
    return scoring;
}

/// Scores of column pairs and costs of whole gaps, straight from the definition, in double precision.
struct Definition {
    ColumnProfile const& a;
    ColumnProfile const& b;
    ProfileScoring const& scoring;

    [[nodiscard]] double pair(std::size_t i, std::size_t j) const {
        double sum = 0;
        for (std::size_t x = 0; x < amino_acid_count; ++x)
            for (std::size_t y = 0; y < amino_acid_count; ++y)
                sum += static_cast<double>(a.residues[x * a.length + i]) *
                       static_cast<double>(b.residues[y * b.length + j]) * static_cast<double>(scoring.scores[x][y]);
        return sum;
    }
    /// Columns [begin, end) of `profile` against nothing, at border `at` of the other side of `other` columns.
    [[nodiscard]] double gap(ColumnProfile const& profile, std::size_t begin, std::size_t end, std::size_t at,
                             std::size_t other) const {
        bool const terminal = at == 0 || at == other;
        double const occupied = std::accumulate(profile.occupancy.begin() + static_cast<std::ptrdiff_t>(begin),
                                                profile.occupancy.begin() + static_cast<std::ptrdiff_t>(end), 0.0);
        auto const& gaps = scoring.gaps;
        if (terminal)
            return static_cast<double>(gaps.terminal_open) + static_cast<double>(gaps.terminal_extend) * occupied;
        return 0.5 * static_cast<double>(gaps.open) *
                   (2 - static_cast<double>(profile.opens[begin]) - static_cast<double>(profile.closes[end - 1])) +
               static_cast<double>(gaps.extend) * occupied;
    }
    /// Plain dynamic programming over whole gaps, O(L^3).
    [[nodiscard]] double best() const {
        std::vector<std::vector<double>> value(
            a.length + 1, std::vector<double>(b.length + 1, -std::numeric_limits<double>::infinity()));
        value[0][0] = 0;
        for (std::size_t i = 0; i <= a.length; ++i)
            for (std::size_t j = 0; j <= b.length; ++j) {
                if (i > 0 && j > 0) value[i][j] = value[i - 1][j - 1] + pair(i - 1, j - 1);
                for (std::size_t k = 0; k < i; ++k)
                    value[i][j] = std::max(value[i][j], value[k][j] - gap(a, k, i, j, b.length));
                for (std::size_t k = 0; k < j; ++k)
                    value[i][j] = std::max(value[i][j], value[i][k] - gap(b, k, j, i, a.length));
            }
        return value[a.length][b.length];
    }
    [[nodiscard]] double of(std::string const& operations) const {
        double sum = 0;
        std::size_t i = 0, j = 0;
        for (std::size_t begin = 0; begin < operations.size();) {
            std::size_t end = begin;
            while (end < operations.size() && operations[end] == operations[begin]) ++end;
            std::size_t const n = end - begin;
            if (operations[begin] == 'M')
                for (std::size_t k = 0; k < n; ++k) sum += pair(i++, j++);
            else if (operations[begin] == 'D')
                sum -= gap(a, i, i + n, j, b.length), i += n;
            else
                sum -= gap(b, j, j + n, i, a.length), j += n;
            begin = end;
        }
        EXPECT_EQ(i, a.length);
        EXPECT_EQ(j, b.length);
        return sum;
    }
};

TEST(ProfileAlignment, EqualsItsDefinitionOnRandomAlignments) {
    std::mt19937_64 random{11};
    for (int trial = 0; trial < 300; ++trial) {
        RandomAlignment const first{random, 1 + random() % 6, 1 + random() % 24, 0.2};
        RandomAlignment const second{random, 1 + random() % 6, 1 + random() % 24, 0.2};
        auto const a = first.profile(), b = second.profile();
        auto const scoring = trial % 3 == 0   ? ProfileScoring{}
                             : trial % 3 == 1 ? blosum_scoring({2, 0.5F, 0.5F, 0.25F})
                                              : blosum_scoring({11, 1, 11, 1});
        Definition const definition{a, b, scoring};
        auto const found = align_profiles(a, b, scoring);
        ASSERT_NEAR(static_cast<double>(found.score), definition.best(), 1e-3) << "trial " << trial;
        ASSERT_NEAR(definition.of(found.operations), static_cast<double>(found.score), 1e-3) << found.operations;
        ASSERT_NEAR(static_cast<double>(align_profiles(b, a, scoring).score), static_cast<double>(found.score), 1e-3);
    }
}

/// Textbook affine global alignment of two sequences (Gotoh), all gaps alike, in integers.
int affine_global_score(std::vector<Residue> const& a, std::vector<Residue> const& b, int open, int extend) {
    constexpr int never = -1000000;
    std::vector<std::vector<int>> pair(a.size() + 1, std::vector<int>(b.size() + 1, never)), down = pair, right = pair;
    pair[0][0] = 0;
    for (std::size_t i = 0; i <= a.size(); ++i)
        for (std::size_t j = 0; j <= b.size(); ++j) {
            if (i > 0 && j > 0)
                pair[i][j] = blosum62[a[i - 1]][b[j - 1]] +
                             std::max({pair[i - 1][j - 1], down[i - 1][j - 1], right[i - 1][j - 1]});
            if (i > 0) down[i][j] = std::max(std::max(pair[i - 1][j], right[i - 1][j]) - open, down[i - 1][j]) - extend;
            if (j > 0)
                right[i][j] = std::max(std::max(pair[i][j - 1], down[i][j - 1]) - open, right[i][j - 1]) - extend;
        }
    return std::max({pair.back().back(), down.back().back(), right.back().back()});
}

TEST(ProfileAlignment, OfTwoSequencesIsTheAffineGlobalAlignment) {
    std::mt19937_64 random{12};
    std::discrete_distribution<int> residue(background_frequencies.begin(), background_frequencies.end());
    for (int trial = 0; trial < 100; ++trial) {
        std::vector<Residue> a(1 + random() % 150), b;
        for (auto& code : a) code = static_cast<Residue>(residue(random));
        for (auto const code : a)
            if (random() % 10 > 1) b.push_back(random() % 4 == 0 ? static_cast<Residue>(residue(random)) : code);
        if (b.empty()) b.push_back(0);
        auto const profile = [](std::vector<Residue> const& sequence) {
            std::vector<std::uint32_t> columns(sequence.size());
            std::iota(columns.begin(), columns.end(), 0U);
            PlacedRow const row{sequence, columns, 1};
            return ColumnProfile{std::span{&row, 1}, sequence.size()};
        };
        int const open = trial % 2 == 0 ? 11 : 5, extend = trial % 3 == 0 ? 2 : 1;
        auto const costs = static_cast<float>(open), more = static_cast<float>(extend);
        EXPECT_FLOAT_EQ(align_profiles(profile(a), profile(b), blosum_scoring({costs, more, costs, more})).score,
                        static_cast<float>(affine_global_score(a, b, open, extend)));
    }
}

TEST(ProfileAlignment, TerminalGapsPayTheirOwnConstants) {
    std::vector<Residue> const whole = encode_residues("GGGGGGWCWHWCWGGGG"), core = encode_residues("WCWHWCW");
    std::vector<std::uint32_t> columns(whole.size());
    std::iota(columns.begin(), columns.end(), 0U);
    PlacedRow const a{whole, columns, 1}, b{core, std::span{columns}.first(core.size()), 1};
    auto const found = align_profiles({std::span{&a, 1}, whole.size()}, {std::span{&b, 1}, core.size()},
                                      blosum_scoring({10, 1, 0.5F, 0.25F}));
    EXPECT_EQ(found.operations, "DDDDDDMMMMMMMDDDD");
    EXPECT_FLOAT_EQ(found.score, 4 * 11 + 2 * 9 + 8 - 2 * 0.5F - 10 * 0.25F);
}

TEST(ProfileAlignment, LongAlignmentsAreTracedInBlocks) {
    std::mt19937_64 random{13};
    RandomAlignment const first{random, 1, 9000, 0};
    RandomAlignment second = first;
    auto& shorter = second.residues.front();
    shorter.erase(shorter.begin() + 2000, shorter.begin() + 2100);
    second.columns.front().resize(shorter.size()), second.length = shorter.size();
    auto const a = first.profile(), b = second.profile();
    ProfileScoring const scoring;
    auto const found = align_profiles(a, b, scoring);
    EXPECT_EQ(std::ranges::count(found.operations, 'D'), 100);
    EXPECT_EQ(std::ranges::count(found.operations, 'I'), 0);
    EXPECT_NEAR(Definition({a, b, scoring}).of(found.operations), static_cast<double>(found.score), 2);
}

TEST(ProfileAlignment, NothingAgainstSomething) {
    ColumnProfile const empty{{}, 0};
    std::vector<Residue> const one{3};
    std::vector<std::uint32_t> const column{0};
    PlacedRow const row{one, column, 1};
    EXPECT_EQ(align_profiles({std::span{&row, 1}, 1}, empty).operations, "D");
    EXPECT_EQ(align_profiles(empty, {std::span{&row, 1}, 1}).operations, "I");
}

} // namespace
} // namespace tape
