#include "data/error.hpp"
#include "data/io.hpp"
#include "data/temporary.hpp"
#include "features/msa_source.hpp"
#include "features/search_database.hpp"

#include <gtest/gtest.h>

#include <random>

// The alignment source over a database, and what it says where the build has no search.
namespace tape {
namespace {

Protein protein(std::string id, std::string residues) {
    return {.id = std::move(id), .description = {}, .residues = std::move(residues)};
}

std::string random_residues(unsigned seed, std::size_t length) {
    std::mt19937 random{seed};
    std::string residues;
    for (std::size_t i = 0; i < length; ++i) residues.push_back(amino_acids[random() % 20]);
    return residues;
}

std::string relative(std::string residues, unsigned seed) {
    std::mt19937 random{seed};
    for (char& c : residues)
        if (random() % 4 == 0) c = amino_acids[random() % 20];
    return residues;
}

#ifdef TAPE_WITH_SEARCH

class SearchSource : public ::testing::Test {
  protected:
    TemporaryDirectory folder_;
    std::string const query_ = random_residues(1, 80), lonely_ = random_residues(2, 80);
    MsaSourceOptions options_;

    void SetUp() override {
        std::string text;
        for (unsigned i = 0; i < 20; ++i) text += ">f" + std::to_string(i) + "\n" + relative(query_, 10 + i) + "\n";
        for (unsigned i = 0; i < 200; ++i)
            text += ">u" + std::to_string(i) + "\n" + random_residues(1000 + i, 50 + i) + "\n";
        write_text(folder_.path() / "small.fasta", text);
        options_.database = searchable_database(folder_.path() / "small.fasta", folder_.path() / "cache", true);
        options_.rounds = 2, options_.threads = 2;
    }
};

TEST_F(SearchSource, SaysWhereEachAlignmentCameFrom) {
    MsaSource source{options_};
    auto const features =
        source.compute(std::vector{protein("a", query_), protein("b", lonely_)}, {.rows = true, .pairs = true});
    EXPECT_EQ(features[0].provenance, "search of small.tdb");
    EXPECT_GT(features[0].depth, 10);
    EXPECT_EQ(features[1].provenance, "no homologs in small.tdb: sequence only");
    EXPECT_EQ(features[1].depth, 1);
    EXPECT_GE(source.alignment(protein("a", query_)).depth(), 21u);
    EXPECT_NE(source.content_hash(), MsaSource{MsaSourceOptions{}}.content_hash());
    options_.rounds = 1;
    EXPECT_NE(source.content_hash(), MsaSource{options_}.content_hash());
}

TEST_F(SearchSource, AParentIsSearchedForItsVariants) {
    std::string variant = query_;
    variant[40] = variant[40] == 'W' ? 'A' : 'W';
    options_.parents = {query_};
    MsaSource source{options_};
    std::vector const proteins{protein("parent", query_), protein("variant", variant)};
    auto const features = source.compute(proteins, {.rows = true});
    EXPECT_EQ(features[1].provenance, "search of small.tdb");
    EXPECT_EQ(features[0].rows.leftCols(45), features[1].rows.leftCols(45));
    auto const alone = MsaSource{options_}.compute(std::span{proteins}.last(1), {.rows = true});
    EXPECT_EQ(alone[0].rows, features[1].rows);
}

TEST_F(SearchSource, MoreProteinsThanABatchKeepTheirOrder) {
    std::vector<Protein> proteins;
    for (unsigned i = 0; i < 150; ++i)
        proteins.push_back(protein("p" + std::to_string(i),
                                   i % 3 == 0 ? relative(query_, 500 + i) : random_residues(9000 + i, 40 + i % 50)));
    options_.rounds = 1;
    MsaSource source{options_};
    auto const features = source.compute(proteins, {.pooled = true});
    for (unsigned i = 0; i < 150; i += 37) {
        auto const alone = source.compute(std::span{proteins}.subspan(i, 1), {.pooled = true});
        EXPECT_EQ(alone[0].pooled, features[i].pooled) << i;
        EXPECT_EQ(alone[0].depth, features[i].depth);
    }
    EXPECT_GT(features[0].depth, 5);
}

TEST_F(SearchSource, ADatabaseIsMadeOnce) {
    auto const written = std::filesystem::last_write_time(options_.database);
    EXPECT_EQ(searchable_database(folder_.path() / "small.fasta", folder_.path() / "cache", true), options_.database);
    EXPECT_EQ(std::filesystem::last_write_time(options_.database), written);
    EXPECT_EQ(searchable_database(options_.database, "nowhere"), options_.database);
    EXPECT_THROW((void)searchable_database(folder_.path() / "missing.fasta", folder_.path() / "cache", true),
                 data_error);
}

#else

TEST(SearchSource, NeedsABuildThatHasIt) {
    MsaSourceOptions options;
    options.database = "some.tdb";
    EXPECT_THROW(MsaSource{options}, usage_error);
    EXPECT_THROW((void)searchable_database("some.fasta", "cache"), usage_error);
    EXPECT_EQ(random_residues(1, 5).size(), relative(random_residues(1, 5), 2).size());
}

#endif

} // namespace
} // namespace tape
