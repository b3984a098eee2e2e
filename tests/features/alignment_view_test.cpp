#include "features/alignment_view.hpp"

#include <gtest/gtest.h>

namespace tape {
namespace {

Msa alignment() {
    Msa msa;
    for (auto const& [id, row] : {std::pair{"query", "MKTAYIAKQRQISF"},
                                  {"a_rather_long_identifier_of_a_row", "MKTAYLAKQR----"},
                                  {"third", "MRTA-IAKQW----"}})
        msa.rows.push_back({.id = id, .description = {}, .columns = encode_residues(row), .insertions = {}});
    return msa;
}

TEST(AlignmentView, ShowsBlocksConservationAndDifferences) {
    Msa const msa = alignment();
    auto const profile = make_profile(msa, std::vector<float>{1, 1, 1});
    EXPECT_EQ(alignment_view(msa, profile, {.columns = 10, .rows = 1}), "                                10\n"
                                                                        "conservation            9799979997\n"
                                                                        "query                   MKTAYIAKQR\n"
                                                                        "a_rather_long_identifi~ .....L....\n"
                                                                        "\n"
                                                                        "                            \n"
                                                                        "conservation                \n"
                                                                        "query                   QISF\n"
                                                                        "a_rather_long_identifi~ ----\n"
                                                                        "\n"
                                                                        "and 1 more rows\n");
}

TEST(AlignmentView, ColoursAreByGroup) {
    Msa const msa = alignment();
    auto const view = alignment_view(msa, make_profile(msa), {.colour = true});
    EXPECT_NE(view.find("\033[31mK\033[0m"), std::string::npos);
    EXPECT_NE(view.find("\033[33mM\033[0m"), std::string::npos);
    EXPECT_NE(view.find("\033[32mT\033[0m"), std::string::npos);
    EXPECT_EQ(alignment_view(msa, make_profile(msa)).find('\033'), std::string::npos);
}

} // namespace
} // namespace tape
