#include "data/error.hpp"
#include "learn/batch_sampler.hpp"
#include "learn/corpus.hpp"

#include "tests/learn/learn_fixture.hpp"
#include <gtest/gtest.h>

#include <map>
#include <set>

namespace tape {
namespace {

TEST(Random, PermutationVisitsEveryElementOnce) {
    for (std::uint64_t const count : {1, 2, 3, 5, 64, 65, 1000}) {
        std::set<std::uint64_t> seen;
        for (std::uint64_t i = 0; i < count; ++i) seen.insert(permuted(i, count, 42));
        EXPECT_EQ(seen.size(), count);
        EXPECT_EQ(*seen.rbegin(), count - 1);
    }
    int moved = 0;
    for (std::uint64_t i = 0; i < 1000; ++i) moved += permuted(i, 1000, 1) != permuted(i, 1000, 2);
    EXPECT_GT(moved, 900);
}

TEST(SequenceMatcher, AgreesWithAPlainSearch) {
    Random random{3};
    auto const word = [&](std::size_t length) {
        std::string text;
        while (text.size() < length) text += "ACD"[random.below(3)];
        return text;
    };
    for (int round = 0; round < 50; ++round) {
        std::vector<std::string> patterns;
        for (int i = 0; i < 6; ++i) patterns.push_back(word(4 + random.below(5)));
        SequenceMatcher const matcher{patterns};
        for (int i = 0; i < 40; ++i) {
            auto const text = word(random.below(40));
            bool const found =
                std::ranges::any_of(patterns, [&](auto const& p) { return text.find(p) != std::string::npos; });
            EXPECT_EQ(matcher.matches(text), found);
        }
    }
    EXPECT_FALSE(SequenceMatcher{{}}.matches("ACD"));
}

TEST(Corpus, MergesExcludesAndHoldsOut) {
    test::Folder const folder;
    test::spill(folder / "a.fasta",
                test::random_fasta(400, 30, 60, 1) +
                    ">twin\nMKTAYIAKQRMKTAYIAKQR\n>twin2\nMKTAYIAKQRMKTAYIAKQR\n>whole\nWWWWACDEFGHIKLWWWW\n");
    test::spill(folder / "out.fasta", ">x\nACDEFGHIKL\n");
    test::spill(folder / "out.csv", "id,primary\ny,MKTAYIAKQRMKTAYIAKQR\n");
    std::vector<std::filesystem::path> const files{folder / "a.fasta"};
    auto const plain = Corpus::read(files, {.exclude = {}, .held_out_every = 10, .clusters = {}});
    EXPECT_EQ(plain.summary().records, 403U);
    EXPECT_EQ(plain.summary().distinct, 402U);
    EXPECT_EQ(plain.size() + plain.held_out_size(), 402U);
    EXPECT_GT(plain.held_out_size(), 15U);
    EXPECT_LT(plain.held_out_size(), 80U);
    auto const less = Corpus::read(
        files, {.exclude = {folder / "out.fasta", folder / "out.csv"}, .held_out_every = 10, .clusters = {}});
    EXPECT_EQ(less.summary().excluded, 2U);
    EXPECT_EQ(less.size() + less.held_out_size(), 400U);
    EXPECT_NE(less.summary().hash, plain.summary().hash);
    test::spill(folder / "only.fasta", ">x\nACDEFGHIKL\n");
    std::vector<std::filesystem::path> const only{folder / "only.fasta"};
    EXPECT_THROW((void)Corpus::read(only, {.exclude = {folder / "out.fasta"}, .clusters = {}}), data_error);
}

TEST(Corpus, HoldsOutWholeClustersAndReadsOneMemberAnEpoch) {
    test::Folder const folder;
    test::spill(folder / "a.fasta", test::random_fasta(300, 30, 60, 1)); // p0 ... p299
    std::string table = "#representative\tmember\tidentity\n";
    for (int i = 0; i < 300; ++i) {
        auto const member = std::to_string(i), representative = std::to_string(i / 5 * 5);
        table.append("p").append(representative).append("\tp").append(member).append("\t0.9\n");
    }
    test::spill(folder / "clusters.tsv", table);
    std::vector<std::filesystem::path> const files{folder / "a.fasta"};
    auto const corpus = Corpus::read(files, {.exclude = {}, .held_out_every = 6, .clusters = folder / "clusters.tsv"});
    EXPECT_EQ(corpus.size() + corpus.held_out_size(), 300U);
    EXPECT_EQ(corpus.size() % 5, 0U);
    EXPECT_GT(corpus.held_out_size(), 0U);
    ASSERT_EQ(corpus.clusters(), corpus.size() / 5);
    EXPECT_EQ(corpus.summary().clusters, corpus.clusters());
    std::map<std::string_view, std::size_t> cluster_of;
    for (std::size_t c = 0; c < corpus.clusters(); ++c) {
        EXPECT_EQ(corpus.cluster(c).size(), 5U);
        for (auto const member : corpus.cluster(c)) cluster_of[corpus.sequence(member)] = c;
    }
    EXPECT_EQ(cluster_of.size(), corpus.size());
    // Three epochs: every cluster once in each, not always by the same member.
    BatchSampler sampler{corpus, {.seed = 3, .window = 100, .tokens = 200}, {}};
    std::vector<std::string_view> dealt;
    while (sampler.epochs() < 4 || sampler.position().batch != 0) // whole pools
        for (auto const& window : sampler.next()) dealt.push_back(window.protein);
    std::map<std::size_t, std::set<std::string_view>> members;
    std::map<std::size_t, int> times;
    for (auto const& protein : dealt) members[cluster_of.at(protein)].insert(protein), ++times[cluster_of.at(protein)];
    std::size_t varied = 0;
    for (auto const& [cluster, seen] : members) varied += seen.size() > 1;
    EXPECT_EQ(members.size(), corpus.clusters());
    EXPECT_GT(varied, corpus.clusters() / 2);
    for (auto const& [cluster, count] : times)
        EXPECT_NEAR(count, static_cast<double>(dealt.size()) / static_cast<double>(corpus.clusters()), 1);

    test::spill(folder / "few.tsv", "p0\tp0\np0\tp1\n");
    try {
        (void)Corpus::read(files, {.exclude = {}, .clusters = folder / "few.tsv"});
        FAIL() << "a record without a cluster was taken";
    } catch (data_error const& problem) {
        EXPECT_NE(std::string{problem.what()}.find("record 'p2' is in no cluster of"), std::string::npos)
            << problem.what();
    }
    test::spill(folder / "bad.tsv", "p0\tp0\nalone\n");
    EXPECT_THROW((void)Corpus::read(files, {.exclude = {}, .clusters = folder / "bad.tsv"}), data_error);
}

TEST(Corpus, IdsMayRepeatAndOneGiantSequenceIsEnough) {
    test::Folder const folder;
    test::spill(folder / "twice.fasta", ">a\nMKTAYIAKQR\n>a\nMKTAYIAKQL\n>a\nMKTAYIAKQR\n");
    std::vector<std::filesystem::path> const twice{folder / "twice.fasta"};
    auto const corpus = Corpus::read(twice, {.exclude = {}, .held_out_every = 1000000, .clusters = {}});
    EXPECT_EQ(corpus.size(), 2U); // the sequences differ; a repeated sequence is one
    test::spill(folder / "giant.fasta", test::random_fasta(1, 200000, 200000, 1));
    std::vector<std::filesystem::path> const giant{folder / "giant.fasta"};
    auto const one = Corpus::read(giant, {.exclude = {}, .held_out_every = 1000000, .clusters = {}});
    BatchSampler sampler{one, {.seed = 1, .window = 50, .tokens = 400}, {}};
    for (int batch = 0; batch < 20; ++batch) {
        std::set<std::size_t> begins;
        for (auto const& window : sampler.next()) {
            begins.insert(window.begin);
            EXPECT_EQ(window.residues(), 50U);
        }
        EXPECT_GT(begins.size(), 4U); // stretches from all over it
    }
}

TEST(RandomWindow, CarriesSpecialTokensOnlyAtTheEnds) {
    Random random{1};
    std::string const protein = "ACDEFGHIKL";
    bool starts = false, ends = false, inner = false;
    for (int i = 0; i < 200; ++i) {
        auto const window = random_window(protein, 8, random);
        auto const& tokens = window.tokens;
        bool const begins = tokens.front() == EsmTokenizer::cls, finishes = tokens.back() == EsmTokenizer::eos;
        EXPECT_EQ(tokens.size(), 8U + begins + finishes);
        EXPECT_EQ(window.residues(), 8U);
        EXPECT_EQ(window.first(), begins ? 1U : 0U);
        for (std::size_t k = 0; k < 8; ++k)
            EXPECT_EQ(tokens[window.first() + k], EsmTokenizer::token(protein[window.begin + k]));
        EXPECT_EQ(begins, window.begin == 0);
        EXPECT_EQ(finishes, window.begin == 2);
        starts |= begins, ends |= finishes, inner |= !begins && !finishes;
    }
    EXPECT_TRUE(starts && ends && inner);
    EXPECT_EQ(random_window("ACD", 8, random).tokens, EsmTokenizer::wrapped("ACD"));
}

std::vector<std::vector<std::int64_t>> tokens_of(std::vector<Window> const& windows) {
    std::vector<std::vector<std::int64_t>> all;
    for (auto const& window : windows) all.push_back(window.tokens);
    return all;
}

TEST(BatchSampler, IsAFunctionOfSeedAndPosition) {
    test::Folder const folder;
    test::spill(folder / "a.fasta", test::random_fasta(100, 10, 90, 2));
    std::vector<std::filesystem::path> const files{folder / "a.fasta"};
    auto const corpus = Corpus::read(files, {});
    BatchSampler::Options const options{.seed = 4, .window = 50, .tokens = 400};
    BatchSampler sampler{corpus, options, {}};
    std::vector<std::vector<Window>> batches;
    std::vector<BatchSampler::Position> positions;
    for (int i = 0; i < 80; ++i) positions.push_back(sampler.position()), batches.push_back(sampler.next());
    for (std::size_t const i : {0, 1, 40, 63, 64, 65, 79}) {
        BatchSampler again{corpus, options, positions[i]};
        EXPECT_EQ(tokens_of(again.next()), tokens_of(batches[i])) << i;
    }
    for (auto const& batch : batches) {
        std::size_t tokens = 0;
        for (auto const& row : batch) tokens += row.tokens.size();
        EXPECT_GT(tokens, 250U);
        EXPECT_LT(tokens, 550U);
    }
    BatchSampler other{corpus, {.seed = 5, .window = 50, .tokens = 400}, {}};
    EXPECT_NE(tokens_of(other.next()), tokens_of(batches[0]));
}

} // namespace
} // namespace tape
