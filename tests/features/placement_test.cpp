#include "features/placement.hpp"

#include <gtest/gtest.h>

#include <numeric>
#include <random>

namespace tape {
namespace {

std::vector<Residue> random_residues(unsigned seed, std::size_t length) {
    std::mt19937 random{seed};
    std::vector<Residue> residues(length);
    for (auto& code : residues) code = static_cast<Residue>(random() % 20);
    return residues;
}

std::vector<int> columns(int begin, int end) {
    std::vector<int> result(static_cast<std::size_t>(end - begin));
    std::iota(result.begin(), result.end(), begin);
    return result;
}

TEST(Placement, AtAnOffset) {
    auto const query = random_residues(1, 100);
    std::vector<Residue> protein(query.begin() + 1, query.end());
    protein[10] = static_cast<Residue>((protein[10] + 1) % 20);
    auto const placement = place(protein, query);
    ASSERT_TRUE(placement);
    EXPECT_EQ(placement->columns, columns(1, 100));
    EXPECT_TRUE(placement->deleted_columns.empty());
    EXPECT_EQ(placement->text(), "1+99 ");
}

TEST(Placement, WithDeletionsAndInsertions) {
    auto const query = random_residues(2, 200);
    auto protein = query;
    protein.erase(protein.begin() + 70, protein.begin() + 72);
    auto const shorter = place(protein, query);
    ASSERT_TRUE(shorter);
    EXPECT_EQ(shorter->deleted_columns.size(), 2u);
    EXPECT_NEAR(shorter->deleted_columns[0], 70, 1);
    EXPECT_EQ(shorter->insertions, 0);
    auto const extra = random_residues(3, 4);
    protein.insert(protein.begin() + 130, extra.begin(), extra.end());
    auto const both = place(protein, query);
    ASSERT_TRUE(both);
    EXPECT_EQ(both->insertions, 4);
    EXPECT_EQ(both->deleted_columns.size(), 2u);
    EXPECT_EQ(both->columns.size(), protein.size());
    EXPECT_EQ(both->columns.front(), 0);
    EXPECT_EQ(both->columns.back(), 199);
}

TEST(Placement, ATagAtTheEndHasNoColumnsAndIsNoInsertion) {
    auto const query = random_residues(4, 150);
    auto protein = random_residues(5, 12);
    protein.insert(protein.end(), query.begin(), query.end());
    auto const placement = place(protein, query);
    ASSERT_TRUE(placement);
    EXPECT_EQ(placement->insertions, 0);
    EXPECT_EQ(placement->columns[5], -1);
    EXPECT_EQ(placement->columns[12], 0);
    EXPECT_EQ(placement->columns.back(), 149);
    EXPECT_EQ(placement->text(), "-12 0+150 ");
}

TEST(Placement, RandomVariantsGoBackToTheirColumns) {
    std::mt19937 random{6};
    for (unsigned trial = 0; trial < 50; ++trial) {
        auto const query = random_residues(100 + trial, 120 + random() % 100);
        std::vector<Residue> protein;
        std::vector<int> expected;
        int equal = 0;
        for (std::size_t c = 0; c < query.size(); ++c) {
            if (c > 15 && c + 15 < query.size() && random() % 60 == 0) continue;
            bool const changed = random() % 15 == 0;
            protein.push_back(changed ? static_cast<Residue>((query[c] + 1 + random() % 19) % 20) : query[c]);
            expected.push_back(static_cast<int>(c));
            equal += !changed;
        }
        auto const placement = place(protein, query);
        ASSERT_TRUE(placement);
        // A gap can stand at several equally good places; nearly all residues are on their own column.
        int right = 0;
        for (std::size_t i = 0; i < protein.size(); ++i) right += placement->columns[i] == expected[i];
        EXPECT_GT(right, 0.85 * static_cast<double>(protein.size()));
        for (std::size_t i = 1; i < protein.size(); ++i)
            if (placement->columns[i] >= 0 && placement->columns[i - 1] >= 0) {
                EXPECT_GT(placement->columns[i], placement->columns[i - 1]);
            }
        EXPECT_EQ(place(protein, query), placement);
    }
}

TEST(Placement, UnrelatedOrMuchShorterProteinsHaveNone) {
    auto const query = random_residues(7, 100);
    EXPECT_FALSE(place(random_residues(8, 100), query));
    EXPECT_FALSE(place(std::vector<Residue>(query.begin(), query.begin() + 79), query));
    EXPECT_TRUE(place(std::vector<Residue>(query.begin(), query.begin() + 80), query));
    EXPECT_FALSE(place({}, query));
    EXPECT_FALSE(place(std::vector<Residue>(100, unknown_code), query));
}

TEST(Placement, AlignmentsFollowThePlacement) {
    Msa msa;
    for (auto const* row : {"ACDEF", "ACYEF", "--W--"})
        msa.rows.push_back({.id = row, .description = {}, .columns = encode_residues(row), .insertions = {}});
    Msa const part = placed_alignment(msa, {.columns = {0, 1, -1, 3, 4}, .deleted_columns = {2}, .insertions = 1});
    ASSERT_EQ(part.depth(), 2u);
    EXPECT_EQ(decode_residues(part.rows[0].columns), "ACXEF");
    EXPECT_EQ(decode_residues(part.rows[1].columns), "AC-EF");
}

} // namespace
} // namespace tape
