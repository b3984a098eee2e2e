#include "align/substitution.hpp"
#include "data/error.hpp"
#include "data/hash.hpp"
#include "data/io.hpp"
#include "data/temporary.hpp"
#include "features/msa_source.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>
#include <set>

namespace tape {
namespace {

std::filesystem::path const bundled_gfp = std::filesystem::path{TAPE_SOURCE_DIR} / "data/msa/GFP_AEQVI_proteingym.a2m";

Protein protein(std::string id, std::string residues) {
    return {.id = std::move(id), .description = {}, .residues = std::move(residues)};
}

std::size_t channel(std::vector<std::string> const& names, std::string const& name) {
    auto const found = std::ranges::find(names, name);
    EXPECT_NE(found, names.end()) << name;
    return static_cast<std::size_t>(found - names.begin());
}

float row_value(FeatureMatrix const& rows, int row, std::string const& name) {
    return rows(row, static_cast<Eigen::Index>(channel(msa_residue_channels(), name)));
}

float pooled_value(std::vector<float> const& pooled, std::string const& name) {
    return pooled.at(channel(msa_pooled_channels(), name));
}

/// avGFP without its first methionine, as in the fluorescence task, with substitutions such as {{10, 'W'}} (from 0).
std::string gfp(std::vector<std::pair<int, char>> const& substitutions = {}) {
    std::string residues = decode_residues(read_msa(bundled_gfp).rows[0].columns).substr(1);
    for (auto const& [position, letter] : substitutions) residues[static_cast<std::size_t>(position)] = letter;
    return residues;
}

std::string random_residues(unsigned seed, std::size_t length) {
    std::mt19937 random{seed};
    std::string residues;
    for (std::size_t i = 0; i < length; ++i) residues.push_back(amino_acids[random() % 20]);
    return residues;
}

MsaSourceOptions with_gfp(int threads = 1) {
    MsaSourceOptions options;
    options.families = {bundled_gfp}, options.threads = threads;
    return options;
}

TEST(MsaChannels, NamesAreDistinctAndCountTheWidths) {
    MsaSource source{MsaSourceOptions{}};
    for (auto const* names : {&msa_residue_channels(), &msa_pooled_channels(), &msa_pair_channels()})
        EXPECT_EQ(std::set(names->begin(), names->end()).size(), names->size());
    EXPECT_EQ(source.residue_width(), 69);
    EXPECT_EQ(source.pooled_width(), 91);
    EXPECT_EQ(source.pair_width(), 4);
    auto const features =
        source.compute(std::vector{protein("a", "ACDEFGHIKL")}, {.rows = true, .pooled = true, .pairs = true});
    EXPECT_EQ(features[0].rows.cols(), 69);
    EXPECT_EQ(features[0].pooled.size(), 91u);
    EXPECT_EQ(features[0].pairs.size(), 400u);
}

TEST(MsaChannels, RowsHoldWhatTheirNamesSay) {
    Msa const msa = read_msa(bundled_gfp);
    Profile const profile = make_profile(msa);
    auto const& query = msa.rows[0].columns;
    FeatureMatrix const rows = msa_rows(profile, query);
    int const i = 65; // Y66 of the chromophore
    EXPECT_EQ(residue_letter(query[i]), 'Y');
    EXPECT_FLOAT_EQ(row_value(rows, i, "frequency_G"), profile.frequencies(i, residue_code('G')));
    EXPECT_FLOAT_EQ(row_value(rows, i, "score_Y"), profile.scores(i, residue_code('Y')) / 4);
    EXPECT_FLOAT_EQ(row_value(rows, i, "own_frequency"), profile.frequencies(i, residue_code('Y')));
    EXPECT_FLOAT_EQ(row_value(rows, i, "own_score"), profile.scores(i, residue_code('Y')) / 4);
    EXPECT_FLOAT_EQ(row_value(rows, i, "entropy"), profile.entropy[i]);
    EXPECT_FLOAT_EQ(row_value(rows, i, "log_neff_column"), std::log(profile.neff_column[i]));
    EXPECT_FLOAT_EQ(row_value(rows, 3, "log_neff"), std::log(profile.neff_identity) / 4);
    EXPECT_EQ(row_value(rows, i, "residue_Y"), 1);
    EXPECT_EQ(rows.rightCols(21).sum(), 238);
    EXPECT_LE(rows.col(static_cast<Eigen::Index>(channel(msa_residue_channels(), "own_minus_best"))).maxCoeff(), 0);
    EXPECT_TRUE(rows.allFinite());
}

TEST(MsaChannels, DivergenceIsZeroForTheBackground) {
    // A column of unknown residues has the background's frequencies.
    auto const msa = query_only_msa("q", "XW", {});
    FeatureMatrix const rows = msa_rows(make_profile(msa), msa.rows[0].columns);
    EXPECT_NEAR(row_value(rows, 0, "divergence"), 0, 1e-6);
    EXPECT_GT(row_value(rows, 1, "divergence"), 0.3);
    EXPECT_LT(row_value(rows, 1, "divergence"), 1);
    EXPECT_EQ(row_value(rows, 0, "own_score"), 0);
    EXPECT_EQ(row_value(rows, 0, "residue_other"), 1);
}

TEST(MsaChannels, VariantTermsSumOverTheDifferences) {
    Msa const msa = read_msa(bundled_gfp);
    Profile const profile = make_profile(msa);
    auto const& query = msa.rows[0].columns;
    auto variant = query;
    variant[65] = residue_code('P'), variant[100] = residue_code('W'), variant[7] = unknown_code;
    auto const pooled = msa_pooled(msa_rows(profile, variant), profile, variant, query);
    EXPECT_EQ(pooled_value(pooled, "mutations"), 2);
    auto const change = [&](int column) {
        return profile.scores(column, variant[column]) - profile.scores(column, query[column]);
    };
    EXPECT_NEAR(pooled_value(pooled, "sum_score"), change(65) + change(100), 1e-4);
    EXPECT_NEAR(pooled_value(pooled, "min_score"), std::min(change(65), change(100)), 1e-4);
    EXPECT_NEAR(pooled_value(pooled, "sum_entropy"), profile.entropy[65] + profile.entropy[100], 1e-4);
    EXPECT_EQ(pooled_value(pooled, "sum_substitution"),
              blosum62[query[65]][variant[65]] + blosum62[query[100]][variant[100]]);
    EXPECT_EQ(pooled_value(pooled, "to_proline"), 1);
    EXPECT_NEAR(pooled_value(pooled, "mean_residue_other"), 1 / 238.0, 1e-6);
    EXPECT_NEAR(pooled_value(pooled, "mean_entropy"),
                std::accumulate(profile.entropy.begin(), profile.entropy.end(), 0.0) / 238, 1e-4);
    auto const own = msa_pooled(msa_rows(profile, query), profile, query, query);
    for (std::size_t v = channel(msa_pooled_channels(), "mutations"); v < own.size(); ++v)
        EXPECT_EQ(own[v], 0) << msa_pooled_channels()[v];
}

TEST(MsaSource, WithoutAnythingTheSequenceAlone) {
    MsaSource source{MsaSourceOptions{}};
    auto const features = source.compute(std::vector{protein("a", "ACDEFGHIKL")}, {.rows = true, .pairs = true});
    EXPECT_EQ(features[0].provenance, "sequence only");
    EXPECT_EQ(features[0].depth, 1);
    // A sequence alone has no coevolution; its separation channel is there.
    for (std::size_t p = 0; p < 100; ++p)
        for (int c = 0; c < 3; ++c) EXPECT_EQ(features[0].pairs[4 * p + static_cast<std::size_t>(c)], 0);
    EXPECT_NEAR(features[0].pairs[4 * 9 + 3], std::log(10.0) / 5, 1e-6);
    EXPECT_TRUE(features[0].pooled.empty());
}

TEST(MsaSource, GfpVariantsShareTheBundledAlignment) {
    MsaSource source{with_gfp()};
    std::vector const proteins{protein("wild type", gfp()), protein("variant", gfp({{9, 'W'}, {64, 'D'}})),
                               protein("full length", "M" + gfp()), protein("else", random_residues(1, 237))};
    auto const features = source.compute(proteins, {.rows = true, .pooled = true});
    for (int p = 0; p < 3; ++p) {
        EXPECT_EQ(features[p].provenance, "bundled GFP_AEQVI_proteingym.a2m");
        EXPECT_NEAR(features[p].depth, 13.8, 0.1);
    }
    EXPECT_EQ(features[3].provenance, "sequence only");
    EXPECT_EQ(features[0].rows.rows(), 237);
    EXPECT_EQ(features[2].rows.rows(), 238);
    // The profile is that of the alignment for every variant; only the own residues differ.
    EXPECT_EQ(features[0].rows.leftCols(45), features[1].rows.leftCols(45));
    EXPECT_NE(features[0].rows, features[1].rows);
    EXPECT_EQ(pooled_value(features[0].pooled, "mutations"), 0);
    EXPECT_EQ(pooled_value(features[1].pooled, "mutations"), 2);
    EXPECT_LT(pooled_value(features[1].pooled, "sum_score"), -2);
}

TEST(MsaSource, AVariantWithADeletionKeepsItsFamily) {
    // 2,310 of the fluorescence task's variants lack one or two residues.
    std::string deleted = gfp();
    deleted.erase(64, 1);
    MsaSource source{with_gfp()};
    auto const features = source.compute(std::vector{protein("deleted", deleted), protein("wild type", gfp())},
                                         {.rows = true, .pooled = true});
    EXPECT_EQ(features[0].provenance, "bundled GFP_AEQVI_proteingym.a2m");
    EXPECT_EQ(features[0].rows.rows(), 236);
    EXPECT_EQ(pooled_value(features[0].pooled, "deletions"), 1);
    EXPECT_GT(pooled_value(features[0].pooled, "deleted_conservation"), 1);
    EXPECT_EQ(pooled_value(features[0].pooled, "mutations"), 0);
    EXPECT_NEAR(features[0].rows(100, 40), features[1].rows(101, 40), 1e-3);
}

TEST(MsaSource, ValuesDependNeitherOnTheCallNorOnThreads) {
    std::vector<Protein> const proteins{protein("a", gfp()), protein("b", gfp({{30, 'K'}})),
                                        protein("c", random_residues(5, 60)), protein("d", gfp({{3, 'C'}}))};
    FeatureRequest const request{.rows = true, .pooled = true};
    MsaSource source{with_gfp(1)}, threaded{with_gfp(3)};
    auto const together = source.compute(proteins, request);
    auto const other = threaded.compute(proteins, request);
    for (std::size_t p = 0; p < proteins.size(); ++p) {
        MsaSource fresh{with_gfp(1)};
        auto const alone = fresh.compute(std::span{proteins}.subspan(p, 1), request);
        for (auto const* features : {&alone[0], &other[p]}) {
            EXPECT_EQ(features->rows, together[p].rows);
            EXPECT_EQ(features->pooled, together[p].pooled);
            EXPECT_EQ(features->depth, together[p].depth);
        }
    }
    EXPECT_EQ(source.content_hash(), threaded.content_hash());
}

TEST(MsaSource, PairsAreSymmetricAndTheSameForAnyThreadCount) {
    std::vector const proteins{protein("a", gfp()), protein("c", random_residues(5, 60))};
    auto const one = MsaSource{with_gfp(1)}.compute(proteins, {.pairs = true});
    auto const three = MsaSource{with_gfp(3)}.compute(proteins, {.pairs = true});
    for (std::size_t p = 0; p < proteins.size(); ++p) EXPECT_EQ(one[p].pairs, three[p].pairs);
    std::size_t const length = 237;
    ASSERT_EQ(one[0].pairs.size(), length * length * 4);
    float largest = 0;
    for (std::size_t i = 0; i < length; ++i)
        for (std::size_t j = 0; j < i; ++j)
            for (std::size_t c = 0; c < 4; ++c) {
                EXPECT_EQ(one[0].pairs[(i * length + j) * 4 + c], one[0].pairs[(j * length + i) * 4 + c]);
                largest = std::max(largest, one[0].pairs[(i * length + j) * 4 + c]);
            }
    EXPECT_GT(largest, 3); // standard deviations
    EXPECT_EQ(one[0].rows.size(), 0);
}

class ReadyAlignments : public ::testing::Test {
  protected:
    TemporaryDirectory folder_;
    MsaSourceOptions options() const {
        MsaSourceOptions options;
        options.directory = folder_.path(), options.threads = 1;
        return options;
    }
};

TEST_F(ReadyAlignments, AreTakenById) {
    write_text(folder_.path() / "one.a3m", ">q\nACDEFGHIKL\n>b\nACDEYGHIRL\n");
    write_text(folder_.path() / "two.sto.gz", "# STOCKHOLM 1.0\nq ACDEFGHIKL\nb ACDEYGHIRL\nc ACDEYG----\n//\n");
    write_text(folder_.path() / "a_b.aln", "CLUSTAL W\n\nq ACDEFGHIKL\nb WWDEYGHIRL\n");
    MsaSource source{options()};
    std::vector const proteins{protein("one", "ACDEFGHIKL"), protein("two", "ACDEFGHIKL"), protein("a/b", "ACDEFGHIKL"),
                               protein("three", "ACDEFGHIKL")};
    auto const features = source.compute(proteins, {.rows = true});
    std::string const ready = "ready alignments of " + folder_.path().filename().string();
    for (int p = 0; p < 3; ++p) EXPECT_EQ(features[p].provenance, ready) << p;
    EXPECT_EQ(features[3].provenance, "sequence only");
    EXPECT_EQ(source.alignment(proteins[1]).depth(), 3u);
    EXPECT_GT(row_value(features[0].rows, 4, "entropy"), 0.6);
    EXPECT_EQ(row_value(features[3].rows, 4, "entropy"), 0);
}

TEST_F(ReadyAlignments, KeyFollowsTheirContent) {
    Protein const one = protein("one", "ACDEFGHIKL");
    auto const alone = MsaSource{options()}.key(one);
    write_text(folder_.path() / "one.a3m", ">q\nACDEFGHIKL\n>b\nACDEYGHIRL\n");
    auto const first = MsaSource{options()}.key(one);
    write_text(folder_.path() / "one.a3m", ">q\nACDEFGHIKL\n>b\nACDEYGHIRW\n");
    auto const second = MsaSource{options()}.key(one);
    EXPECT_EQ((std::set{alone, first, second}.size()), 3u);
    EXPECT_EQ(alone, MsaSource{options()}.key(protein("another id", "ACDEFGHIKL")));
}

TEST_F(ReadyAlignments, OfAnotherProteinAreRefused) {
    write_text(folder_.path() / "one.a3m", ">q\nACDEFGHIKL\n>b\nACDEYGHIRL\n");
    MsaSource source{options()};
    try {
        (void)source.compute(std::vector{protein("one", "WWWWWGHIKLMN")}, {.rows = true});
        FAIL();
    } catch (data_error const& problem) {
        std::string const expected =
            (folder_.path() / "one.a3m").string() +
            ": the first row 'q' (10 residues) is not record 'one' (12 residues): less than 80% of them agree; "
            "the query must come first";
        EXPECT_EQ(std::string{problem.what()}, expected);
    }
}

TEST_F(ReadyAlignments, AMissingFolderIsNamed) {
    MsaSourceOptions options;
    options.directory = folder_.path() / "none";
    EXPECT_THROW(MsaSource{options}, data_error);
}

TEST(Parents, AreTheFirstMembersOfLargeGroups) {
    std::string const a = random_residues(1, 50), b = random_residues(2, 50), longer = random_residues(3, 80);
    std::vector<Protein> proteins;
    auto const mutant = [&](std::string residues, int position) {
        residues[static_cast<std::size_t>(position)] = residues[static_cast<std::size_t>(position)] == 'A' ? 'C' : 'A';
        proteins.push_back(protein("p" + std::to_string(proteins.size()), residues));
    };
    proteins.push_back(protein("a", a));
    for (int i = 0; i < 4; ++i) mutant(a, i), mutant(b, i);
    mutant(longer, 0);
    EXPECT_EQ(choose_parents(proteins, 5), std::vector<std::string>{a});
    EXPECT_EQ(choose_parents(proteins, 4), (std::vector<std::string>{a, proteins[2].residues}));
    EXPECT_EQ(choose_parents(proteins, 1).size(), 3u);
    EXPECT_TRUE(choose_parents({}, 1).empty());
}

TEST(Parents, VariantsAreReadThroughTheirParent) {
    std::string const parent = random_residues(8, 60);
    std::string variant = parent, far = random_residues(9, 60);
    variant[10] = variant[10] == 'W' ? 'C' : 'W';
    MsaSourceOptions options;
    options.threads = 1;
    MsaSource plain{options};
    options.parents = {parent, far};
    MsaSource source{options};
    std::vector const proteins{protein("parent", parent), protein("variant", variant),
                               protein("other", random_residues(10, 60))};
    auto const features = source.compute(proteins, {.rows = true, .pooled = true});
    EXPECT_EQ(pooled_value(features[0].pooled, "mutations"), 0);
    EXPECT_EQ(pooled_value(features[1].pooled, "mutations"), 1);
    EXPECT_EQ(pooled_value(features[2].pooled, "mutations"), 0);
    EXPECT_EQ(features[0].rows.leftCols(45), features[1].rows.leftCols(45));
    // The parent enters the key, the hash of the source stays.
    EXPECT_NE(source.key(proteins[1]), plain.key(proteins[1]));
    EXPECT_EQ(source.key(proteins[2]), plain.key(proteins[2]));
    EXPECT_EQ(source.content_hash(), plain.content_hash());
}

TEST(Parents, AreDerivedFromADataSet) {
    std::string const parent = random_residues(8, 60);
    std::vector<Protein> proteins;
    for (int i = 0; i < 6; ++i) {
        std::string residues = parent;
        residues[static_cast<std::size_t>(i)] = residues[static_cast<std::size_t>(i)] == 'A' ? 'C' : 'A';
        proteins.push_back(protein("p" + std::to_string(i), i == 0 ? parent : residues));
    }
    MsaSource source{MsaSourceOptions{}};
    source.prepare(proteins);
    auto const features = source.compute(proteins, {.pooled = true});
    EXPECT_EQ(pooled_value(features[0].pooled, "mutations"), 0);
    for (int i = 1; i < 6; ++i) EXPECT_EQ(pooled_value(features[i].pooled, "mutations"), 1);
}

} // namespace
} // namespace tape
