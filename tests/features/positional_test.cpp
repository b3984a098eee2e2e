#include "data/error.hpp"
#include "features/positional.hpp"

#include <gtest/gtest.h>

#include <array>
#include <string_view>

namespace {

using namespace std::string_view_literals;

TEST(Positional, PutsDeletionsAndInsertionsWhereMostAgrees) {
    constexpr auto reference = "ACDEFGHIKLMNPQRSTVWYACDEFGHIKLMNPQRSTVWY"sv; // 40: two residues are a twentieth
    EXPECT_EQ(tape::on_positions_of(reference, reference), reference);
    EXPECT_EQ(tape::on_positions_of(reference, "ACDEFGHKLMNPQRSTVWYACDEFGHIKLMNPQRSTVWY"),
              "ACDEFGH-KLMNPQRSTVWYACDEFGHIKLMNPQRSTVWY");
    EXPECT_EQ(tape::on_positions_of(reference, "DEFGHIKLMNPQRSTVWYACDEFGHIKLMNPQRSTVWY"),
              "--DEFGHIKLMNPQRSTVWYACDEFGHIKLMNPQRSTVWY");
    EXPECT_EQ(tape::on_positions_of(reference, "ACDEFGHIKLMNPQRSTVWYACDEFGHIKLMNPQRSTVW"),
              "ACDEFGHIKLMNPQRSTVWYACDEFGHIKLMNPQRSTVW-");
    EXPECT_EQ(tape::on_positions_of(reference, "ACDEFGHIKLWWMNPQRSTVWYACDEFGHIKLMNPQRSTVWY"), reference);
    EXPECT_EQ(tape::on_positions_of(reference, "ACDEFGHIKLMNPQRSTVWYACDEFGHIKLMNPQRST"), std::nullopt);
}

TEST(Positional, HasAColumnForWhatVaries) {
    std::array const sequences{"ACD"sv, "ACE"sv, "WCE"sv};
    tape::PositionalEncoding const encoding{"ACD", sequences};
    ASSERT_EQ(encoding.width(), 4); // A and W first, D and E last; the C of all tells nothing
    tape::FeatureMatrix expected(3, 4);
    expected << 1, 0, 1, 0, 1, 0, 0, 1, 0, 1, 0, 1;
    EXPECT_EQ(encoding(sequences), expected);
    std::array const other{"YCD"sv};
    expected.resize(1, 4);
    expected << 0, 0, 1, 0;
    EXPECT_EQ(encoding(other), expected);
    std::array const longer{"ACDEF"sv};
    EXPECT_THROW((void)encoding(longer), tape::data_error);
}

TEST(Positional, TellsVariantsFromOtherProteins) {
    std::array const variants{"ACDEFGHIKL"sv, "ACDEFGHIKV"sv, "ACDEFGHAKL"sv};
    EXPECT_EQ(tape::reference_of_variants(variants), variants[0]);
    std::array const designs{"ACDEFGHIKL"sv, "LKIHGFEDCA"sv, "VVVVVVVVVV"sv};
    EXPECT_EQ(tape::reference_of_variants(designs), std::nullopt);
    std::array const lengths{"ACDEFGHIKL"sv, "ACDEFGHIKLMNP"sv};
    EXPECT_EQ(tape::reference_of_variants(lengths), std::nullopt);
    EXPECT_EQ(tape::reference_of_variants({}), std::nullopt);
}

} // namespace
