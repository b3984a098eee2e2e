#include "compare/experiment_relatives.hpp"
#include "data/alphabet.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <random>
#include <string>

namespace {

std::string random_residues(std::size_t length, std::mt19937_64& random) {
    std::string residues;
    for (std::size_t i = 0; i < length; ++i) residues += tape::amino_acids[random() % 20];
    return residues;
}

/// Exactly `count` places changed, spread evenly.
std::string with_changes(std::string residues, std::size_t count) {
    for (std::size_t k = 0; k < count; ++k) {
        char& letter = residues[k * residues.size() / count];
        letter = letter == 'A' ? 'G' : 'A';
    }
    return residues;
}

/// Identities are known by construction.
TEST(relatives, identities_are_those_the_sequences_were_made_with) {
    std::mt19937_64 random{9};
    std::vector<tape::Protein> others;
    for (int k = 0; k < 40; ++k) others.push_back({"o" + std::to_string(k), "", random_residues(150, random)});
    std::string const whole = others[3].residues;
    std::vector<tape::Protein> const proteins{
        {"same", "", whole},
        {"close", "", with_changes(whole, 30)},                                           // 80% of equal places
        {"longer", "", random_residues(20, random) + whole + random_residues(8, random)}, // 150 of 178 aligned
        {"half", "", whole.substr(0, 75) + random_residues(90, random)},                  // below 80% aligned
        {"insertion", "", whole.substr(0, 70) + "GGGG" + whole.substr(70)},
        {"strange", "", random_residues(150, random)}};
    for (int const threads : {1, 3}) {
        auto const found = tape::closest_identities(proteins, others, threads);
        ASSERT_EQ(found.size(), 6u);
        EXPECT_FLOAT_EQ(found[0], 1);
        EXPECT_FLOAT_EQ(found[1], .8F);
        EXPECT_GT(found[2], .95F);
        EXPECT_EQ(found[3], 0);
        EXPECT_GT(found[4], .97F);
        EXPECT_EQ(found[5], 0) << "equal places of unrelated proteins are chance";
    }
}

/// Distant but real relatives, with a gap, are found by the search.
TEST(relatives, distant_ones_are_searched_for) {
    std::mt19937_64 random{10};
    std::vector<tape::Protein> others;
    for (int k = 0; k < 30; ++k) others.push_back({"o" + std::to_string(k), "", random_residues(200, random)});
    std::string distant = others[7].residues;
    std::vector<std::size_t> places(distant.size());
    std::iota(places.begin(), places.end(), std::size_t{0});
    std::ranges::shuffle(places, random);
    for (std::size_t k = 0; k < 110; ++k) // to another residue each: 45% are left
        distant[places[k]] = tape::amino_acids[(tape::amino_acids.find(distant[places[k]]) + 1 + random() % 19) % 20];
    distant = distant.substr(0, 60) + distant.substr(63); // three residues lost
    auto const found = tape::closest_identities(std::vector<tape::Protein>{{"distant", "", distant}}, others, 2);
    EXPECT_NEAR(found[0], .45, .05);
}

} // namespace
