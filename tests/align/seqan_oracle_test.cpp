// Scores of the SIMD scan and of the gapped kernels against SeqAn3's align_pairwise, on 10,000 pairs: random ones,
// mutated relatives and real proteins of the starter database.
#include "align/gapped.hpp"
#include "align/scan.hpp"
#include "align/substitution.hpp"
#include "data/dataset.hpp"
#include "data/fasta.hpp"

#include "tests/align/random_proteins.hpp"
#include <seqan3/alignment/configuration/all.hpp>
#include <seqan3/alignment/pairwise/align_pairwise.hpp>
#include <seqan3/alignment/scoring/aminoacid_scoring_scheme.hpp>
#include <seqan3/alphabet/aminoacid/aa20.hpp>

#include <algorithm>

namespace tape {
namespace {

struct ProteinPair {
    std::vector<Residue> query, target;
};

std::vector<ProteinPair> random_pairs(std::mt19937_64& random, std::size_t count) {
    std::uniform_int_distribution<std::size_t> length(1, 260);
    std::vector<ProteinPair> pairs;
    for (std::size_t i = 0; i < count; ++i) {
        auto query = test::random_protein(random, length(random), 0);
        auto target = i % 2 == 0 ? test::random_protein(random, length(random), 0)
                                 : test::mutated(random, query, 0.08 * static_cast<double>(i % 9));
        pairs.push_back({std::move(query), std::move(target)});
    }
    return pairs;
}

std::vector<ProteinPair> real_pairs(std::size_t count) {
    std::vector<std::vector<Residue>> proteins;
    for (auto const& protein : read_fasta(data_directory() / "starter" / "starter.fasta.xz"))
        if (protein.residues.size() <= 220 &&
            std::ranges::all_of(protein.residues, [](char c) { return residue_code(c) < amino_acid_count; }))
            proteins.push_back(encode_residues(protein.residues));
    std::vector<ProteinPair> pairs;
    for (std::size_t i = 0; i < count; ++i)
        pairs.push_back(
            {proteins.at(2 * i % proteins.size()), proteins.at((2 * i + 1 + i / proteins.size()) % proteins.size())});
    return pairs;
}

std::vector<seqan3::aa20> as_seqan(std::vector<Residue> const& codes) {
    std::vector<seqan3::aa20> letters(codes.size());
    std::ranges::transform(codes, letters.begin(),
                           [](Residue code) { return seqan3::aa20{}.assign_char(residue_letter(code)); });
    return letters;
}

int seqan_score(ProteinPair const& pair, int open, int extend) {
    auto const query = as_seqan(pair.query), target = as_seqan(pair.target);
    auto const configuration = seqan3::align_cfg::method_local{} |
                               seqan3::align_cfg::scoring_scheme{
                                   seqan3::aminoacid_scoring_scheme{seqan3::aminoacid_similarity_matrix::blosum62}} |
                               seqan3::align_cfg::gap_cost_affine{seqan3::align_cfg::open_score{-open},
                                                                  seqan3::align_cfg::extension_score{-extend}} |
                               seqan3::align_cfg::output_score{};
    for (auto const& result : seqan3::align_pairwise(std::tie(query, target), configuration)) return result.score();
    return -1;
}

class SeqanOracle : public testing::Test {
  protected:
    static void SetUpTestSuite() {
        std::mt19937_64 random{2024};
        pairs = random_pairs(random, 5000);
        for (auto& pair : real_pairs(5000)) pairs.push_back(std::move(pair));
    }
    static IntegerScores plain_scores(std::vector<Residue> const& query) {
        return round_scores(sequence_scores(query, {.composition_bias = false, .mask_low_complexity = false}));
    }
    static std::vector<ProteinPair> pairs;
};
std::vector<ProteinPair> SeqanOracle::pairs;

TEST_F(SeqanOracle, Blosum62IsSeqans) {
    seqan3::aminoacid_scoring_scheme const scheme{seqan3::aminoacid_similarity_matrix::blosum62};
    for (char const a : amino_acids)
        for (char const b : amino_acids)
            EXPECT_EQ(blosum62[residue_code(a)][residue_code(b)],
                      scheme.score(seqan3::aa20{}.assign_char(a), seqan3::aa20{}.assign_char(b)));
}

TEST_F(SeqanOracle, GappedScoresAgree) {
    GappedAligner::Workspace workspace;
    ASSERT_EQ(pairs.size(), 10000U);
    int wide = 0;
    for (std::size_t p = 0; p < pairs.size(); ++p) {
        int const expected = seqan_score(pairs[p], 11, 1);
        wide += expected > 255;
        ASSERT_EQ(GappedAligner(plain_scores(pairs[p].query)).score(pairs[p].target, workspace), expected)
            << "pair " << p;
    }
    EXPECT_GT(wide, 100) << "pairs beyond 8 bits";
}

TEST_F(SeqanOracle, UngappedScoresAgree) {
    TemporaryDirectory const scratch;
    std::vector<std::vector<Residue>> targets;
    for (auto const& pair : pairs) targets.push_back(pair.target);
    auto const database = test::make_database(scratch.path() / "targets.tdb", targets);
    for (std::uint32_t t = 0; t < database.size(); ++t) {
        auto const& pair = pairs[std::stoul(std::string{database.id(t).substr(1)})];
        auto const score = ungapped_scores(plain_scores(pair.query), database, std::span{&t, 1});
        // A gap that costs more than any alignment scores.
        ASSERT_EQ(score.front(), std::min(255, seqan_score(pair, 10000, 10000))) << "target " << t;
    }
}

} // namespace
} // namespace tape
