#include "data/error.hpp"
#include "features/onehot.hpp"

#include <gtest/gtest.h>

namespace tape {
namespace {

TEST(OneHot, RowsAndComposition) {
    OneHotSource source;
    std::vector<Protein> const proteins{{.id = "a", .description = {}, .residues = "ACYX"},
                                        {.id = "b", .description = {}, .residues = "U"}};
    auto const features = source.compute(proteins, {.rows = true, .pooled = true});
    ASSERT_EQ(features.size(), 2u);
    ASSERT_EQ(features[0].rows.rows(), 4);
    ASSERT_EQ(features[0].rows.cols(), source.residue_width());
    for (auto const& [row, channel] : {std::pair{0, 0}, {1, 1}, {2, 19}, {3, 20}}) {
        EXPECT_EQ(features[0].rows.row(row).sum(), 1);
        EXPECT_EQ(features[0].rows(row, channel), 1);
    }
    ASSERT_EQ(features[0].pooled.size(), 21u);
    EXPECT_FLOAT_EQ(features[0].pooled[19], 0.25f);
    EXPECT_FLOAT_EQ(features[1].pooled[20], 1.f);
    EXPECT_TRUE(features[0].provenance.empty());
}

TEST(OneHot, ComputesOnlyWhatIsAsked) {
    OneHotSource source;
    std::vector<Protein> const proteins{{.id = "a", .description = {}, .residues = "ACD"}};
    EXPECT_EQ(source.compute(proteins, {.pooled = true})[0].rows.size(), 0);
    EXPECT_TRUE(source.compute(proteins, {.rows = true})[0].pooled.empty());
    EXPECT_EQ(source.compute(proteins, {.pairs = true})[0].rows.size(), 0);
    EXPECT_EQ(source.pair_width(), 0);
}

TEST(OneHot, KeyIsTheSequence) {
    OneHotSource source;
    Protein const a{.id = "a", .description = {}, .residues = "ACD"},
        b{.id = "b", .description = "x", .residues = "ACD"}, c{.id = "a", .description = {}, .residues = "ACE"};
    EXPECT_EQ(source.key(a), source.key(b));
    EXPECT_NE(source.key(a), source.key(c));
    EXPECT_EQ(source.key(a).size(), 32u);
}

TEST(OneHot, AnInvalidLetterNamesItsRecord) {
    OneHotSource source;
    std::vector<Protein> const proteins{{.id = "bad1", .description = {}, .residues = "AC1"}};
    try {
        (void)source.compute(proteins, {.rows = true});
        FAIL();
    } catch (data_error const& problem) {
        EXPECT_NE(describe(problem).find("record 'bad1'"), std::string::npos);
    }
}

} // namespace
} // namespace tape
