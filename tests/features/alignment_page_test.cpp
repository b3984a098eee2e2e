#include "data/error.hpp"
#include "features/alignment_page.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace tape {
namespace {

Msa alignment() {
    Msa msa{.rows = {}, .source = "a <test>"};
    for (auto const& [id, row] :
         {std::pair{"query<&>\"", "MKTAYIAKQRQISF"}, {"</script><b>", "MKTAYLAKQR----"}, {"third", "MRTA-IAKQWQ---"}})
        msa.rows.push_back({.id = id, .description = {}, .columns = encode_residues(row), .insertions = {}});
    return msa;
}

std::string page_of(Msa const& msa, PageOptions const& options = {}) {
    return alignment_page(msa, make_profile(msa, {.neff_identity = false}), options);
}

std::size_t count(std::string const& text, std::string const& part) {
    std::size_t found = 0;
    for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + part.size())) ++found;
    return found;
}

TEST(AlignmentPage, HoldsEveryRowOnceAndNothingFromTheNetwork) {
    std::string const page = page_of(alignment());
    EXPECT_EQ(count(page, "\t1.000\t1.000\tMKTAYIAKQRQISF\n"), 1u);
    EXPECT_EQ(count(page, "third\t0.800\t0.714\tMRTA-IAKQWQ---\n"), 1u) << page.substr(page.find("id=\"rows\""), 300);
    for (auto const* part : {"http:", "https:", "src=", "url(", "@import", "fetch("})
        EXPECT_EQ(count(page, part), 0u) << part;
    EXPECT_EQ(count(page, "default-src 'none'"), 1u);
    EXPECT_EQ(count(page, "prefers-color-scheme:dark"), 2u);
    EXPECT_EQ(count(page, "<noscript>"), 1u);
}

TEST(AlignmentPage, NamesCannotBreakOut) {
    std::string const page = page_of(alignment());
    EXPECT_EQ(count(page, "</script><b>"), 0u);
    EXPECT_EQ(count(page, "&lt;/script>&lt;b>\t"), 1u);
    EXPECT_EQ(count(page, "<h1>query&lt;&amp;>&quot;</h1>"), 1u);
    EXPECT_EQ(count(page, "<script"), count(page, "</script>"));
}

TEST(AlignmentPage, DrawsLogoEntropyAndDepth) {
    Msa const msa = alignment();
    std::string const page = page_of(msa, {.neff = 2.5});
    EXPECT_EQ(count(page, "aria-label=\"Logo by column\""), 1u);
    EXPECT_EQ(count(page, "aria-label=\"Entropy by column\""), 1u);
    EXPECT_EQ(count(page, "\"depth\":[3,3,3,3,2,3,3,3,3,3,2,1,1,1]"), 1u);
    EXPECT_EQ(count(page, "<dd>2.5</dd>"), 1u);
    EXPECT_EQ(count(page, "<h2>Couplings</h2>"), 0u);
}

TEST(AlignmentPage, ShowsTheStrongestPairs) {
    Msa const msa = alignment();
    std::vector<float> map(14 * 14, 0.f);
    auto const set = [&](std::size_t i, std::size_t j, float value) { map[i * 14 + j] = map[j * 14 + i] = value; };
    set(1, 9, 2.f), set(0, 5, 9.f), set(3, 12, 1.f);
    std::string const page = page_of(msa, {.couplings = map, .couplings_name = "Test couplings"});
    EXPECT_EQ(count(page, "Test couplings"), 1u);
    // Columns 1 and 6 are five apart only.
    EXPECT_LT(page.find("<td>K2</td><td>R10</td><td class=\"r\">8</td><td class=\"r\">2.000</td>"),
              page.find("<td>A4</td><td>S13</td><td class=\"r\">9</td><td class=\"r\">1.000</td>"));
    EXPECT_EQ(count(page, "<td>M1</td><td>I6</td>"), 0u);
    EXPECT_EQ(count(page, "<circle class=\"dot\""), 14u);
    map.pop_back();
    EXPECT_THROW((void)page_of(msa, {.couplings = map}), error);
}

TEST(AlignmentPage, AQueryAlone) {
    Msa msa = alignment();
    msa.rows.resize(1);
    std::string const page = page_of(msa);
    EXPECT_EQ(count(page, "median identity"), 0u);
    EXPECT_EQ(count(page, "The first 1 of 1 rows"), 1u);
}

} // namespace
} // namespace tape
