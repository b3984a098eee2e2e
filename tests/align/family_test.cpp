#include "align/family.hpp"
#include "data/error.hpp"

#include "tests/align/random_proteins.hpp"

#include <algorithm>

namespace tape {
namespace {

using Sequences = std::vector<std::vector<Residue>>;

Sequences relatives(std::uint64_t seed, std::size_t count, std::size_t length, double rate) {
    std::mt19937_64 random{seed};
    auto const ancestor = test::random_protein(random, length);
    Sequences family;
    for (std::size_t s = 0; s < count; ++s) family.push_back(test::mutated(random, ancestor, rate));
    return family;
}

/// Every residue has a column, in order, and every column a residue.
void expect_whole(FamilyAlignment const& alignment, Sequences const& sequences) {
    ASSERT_EQ(alignment.columns.size(), sequences.size());
    std::vector<bool> used(alignment.length);
    for (std::size_t s = 0; s < sequences.size(); ++s) {
        ASSERT_EQ(alignment.columns[s].size(), sequences[s].size());
        std::int64_t before = -1;
        for (auto const column : alignment.columns[s]) {
            ASSERT_GT(static_cast<std::int64_t>(column), before);
            ASSERT_LT(column, alignment.length);
            before = column, used[column] = true;
        }
    }
    EXPECT_TRUE(std::ranges::all_of(used, [](bool value) { return value; }));
}

std::vector<std::string> rows_of(FamilyAlignment const& alignment, Sequences const& sequences) {
    std::vector<std::string> rows;
    for (std::size_t s = 0; s < sequences.size(); ++s)
        rows.push_back(aligned_letters(alignment, s, decode_residues(sequences[s])));
    return rows;
}

Sequences encoded(std::vector<std::string> const& letters) {
    Sequences sequences;
    for (auto const& one : letters) sequences.push_back(encode_residues(one));
    return sequences;
}

/// By posteriors, by parts, by profiles alone.
std::vector<FamilyOptions> every_way() {
    std::vector<FamilyOptions> ways(3);
    ways[1].part_members = 5, ways[2].part_members = 1;
    return ways;
}

TEST(Family, OneTwoAndEqualSequences) {
    for (auto const& options : every_way()) {
        EXPECT_EQ(rows_of(align_family(encoded({"MKTAY"}), options), encoded({"MKTAY"})),
                  std::vector<std::string>{"MKTAY"});
        auto const two = encoded({"MKTAYIAKQRWISFVKSHFSRQ", "MKTAYIAKQRWSHFSRQ"});
        EXPECT_EQ(rows_of(align_family(two, options), two),
                  (std::vector<std::string>{"MKTAYIAKQRWISFVKSHFSRQ", "MKTAYIAKQRW-----SHFSRQ"}));
        auto const equal = encoded({"MKTAYX", "MKTAYX", "MKTAYX"});
        EXPECT_EQ(rows_of(align_family(equal, options), equal), (std::vector<std::string>(3, "MKTAYX")));
    }
}

TEST(Family, EveryResidueHasItsColumnWhateverTheWay) {
    for (auto const& options : every_way())
        for (std::uint64_t seed = 0; seed < 3; ++seed) {
            auto const sequences = relatives(seed, 14, 70, 0.1 * static_cast<double>(seed + 1));
            expect_whole(align_family(sequences, options), sequences);
        }
}

TEST(Family, SubstitutionsAloneNeedNoGap) {
    std::mt19937_64 random{5};
    auto const ancestor = test::random_protein(random, 100, 0);
    Sequences sequences(12, ancestor);
    for (auto& sequence : sequences)
        for (auto& code : sequence)
            if (random() % 4 == 0) code = static_cast<Residue>(random() % amino_acid_count);
    for (auto const& options : every_way()) EXPECT_EQ(align_family(sequences, options).length, 100U);
}

TEST(Family, DeletionsAreFound) {
    // A fragment and a deletion among close relatives: the residues kept stay in their ancestor's columns.
    std::mt19937_64 random{6};
    auto const ancestor = test::random_protein(random, 120, 0);
    Sequences sequences(9, ancestor);
    for (std::size_t s = 1; s < sequences.size(); ++s)
        for (auto& code : sequences[s])
            if (random() % 5 == 0) code = static_cast<Residue>(random() % amino_acid_count);
    auto& fragment = sequences[3];
    fragment.assign(ancestor.begin() + 40, ancestor.begin() + 80);
    auto& deleted = sequences[4];
    deleted = ancestor;
    deleted.erase(deleted.begin() + 30, deleted.begin() + 60);
    for (auto const& options : every_way()) {
        auto const alignment = align_family(sequences, options);
        EXPECT_EQ(alignment.length, 120U);
        for (std::uint32_t r = 0; r < 40; ++r) EXPECT_EQ(alignment.columns[3][r], 40 + r);
        int moved = 0; // the border of the deletion may slide by a residue that happens to be alike
        for (std::uint32_t r = 0; r < 90; ++r) moved += alignment.columns[4][r] != (r < 30 ? r : r + 30);
        EXPECT_LE(moved, 2);
    }
}

TEST(Family, SameBytesForAnyThreadsAndSameRowsForAnyOrder) {
    auto const sequences = relatives(7, 14, 60, 0.25);
    std::vector<std::size_t> order(sequences.size());
    for (std::size_t s = 0; s < order.size(); ++s) order[s] = (s * 5 + 3) % order.size();
    Sequences shuffled;
    for (auto const s : order) shuffled.push_back(sequences[s]);
    for (auto options : every_way()) {
        auto const rows = rows_of(align_family(sequences, options), sequences);
        for (int const threads : {2, 7}) {
            options.threads = threads;
            EXPECT_EQ(rows_of(align_family(sequences, options), sequences), rows);
        }
        auto const again = rows_of(align_family(shuffled, options), shuffled);
        for (std::size_t s = 0; s < order.size(); ++s) EXPECT_EQ(again[s], rows[order[s]]);
    }
}

TEST(Family, UnknownResiduesAndShortOnes) {
    auto const sequences = encoded({"XXXXXXXXXX", "M", "X", "MKXXAYIAKQR", "WWWWWWWWWWWWWWWWW"});
    for (auto const& options : every_way()) expect_whole(align_family(sequences, options), sequences);
}

TEST(Family, LongSequencesAreAlignedByProfiles) {
    auto sequences = relatives(8, 2, 3000, 0.02);
    sequences.push_back({sequences[0].begin() + 500, sequences[0].begin() + 700});
    auto const alignment = align_family(sequences);
    expect_whole(alignment, sequences);
    EXPECT_LT(alignment.length, 3300U);
    int right = 0;
    for (std::size_t r = 0; r < 200; ++r) right += alignment.columns[2][r] == alignment.columns[0][500 + r];
    EXPECT_GE(right, 195);
}

TEST(Family, RefusesNothingAndEmptySequences) {
    EXPECT_THROW((void)align_family(Sequences{}), data_error);
    EXPECT_THROW((void)align_family(Sequences{{1, 2}, {}}), data_error);
    EXPECT_THROW((void)align_family(Sequences(70000, {1})), data_error);
}

} // namespace
} // namespace tape
