#include "data/error.hpp"
#include "data/npy.hpp"
#include "learn/bert.hpp"
#include "learn/encoder_source.hpp"
#include "learn/models.hpp"

#include "tests/learn/encoder_agreement.hpp"
#include "tests/learn/learn_fixture.hpp"
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <cmath>
#include <functional>

namespace tape {
namespace {

std::filesystem::path checkpoint(std::string const& name) { return test::golden("checkpoints/" + name); }

class Bert : public ::testing::TestWithParam<char const*> {};

TEST_P(Bert, AgreesWithTheOriginalProgram) {
    BertEncoder encoder{checkpoint(GetParam()), std::nullopt, {}};
    EXPECT_TRUE(encoder.unused_tensors().empty());
    test::expect_encoder_agrees(encoder, read_npz(checkpoint(std::string{GetParam()} + ".npz")));
}

TEST_P(Bert, IsRecognisedAndHasAnUnpretrainedControl) {
    std::string const folder = checkpoint(GetParam());
    EXPECT_EQ(locate_model(folder).kind, ModelKind::bert);
    std::vector<Protein> const proteins{{"a", "", "MKTAYIAKQR"}};
    auto const source = make_encoder_source("bert", folder, false, {.threads = 1});
    auto const drawn = make_encoder_source("bert", folder, true, {.threads = 1, .seed = 1}),
               again = make_encoder_source("bert", folder, true, {.threads = 1, .seed = 1}),
               other = make_encoder_source("bert", folder, true, {.threads = 1, .seed = 2});
    EXPECT_EQ(source->residue_width(), 8);
    EXPECT_EQ(source->pair_width(), 4);
    EXPECT_EQ(drawn->content_hash(), again->content_hash());
    EXPECT_NE(drawn->content_hash(), other->content_hash());
    EXPECT_NE(drawn->content_hash(), source->content_hash());
    auto const a = drawn->compute(proteins, {.rows = true})[0].rows,
               b = again->compute(proteins, {.rows = true})[0].rows;
    EXPECT_EQ(a, b);
    EXPECT_GT((a - source->compute(proteins, {.rows = true})[0].rows).norm(), 1);
}

INSTANTIATE_TEST_SUITE_P(Dialects, Bert, ::testing::Values("protbert", "tape_bert"));

TEST(BertVocabulary, TokensOfSpecialLetters) {
    auto const tokens = [](BertVocabulary const& words, std::string const& letters) {
        std::vector<int> row;
        for (char const letter : letters) row.push_back(words.letters[static_cast<unsigned char>(letter)]);
        return row;
    };
    // Facts of the two vocabularies: X is 25 in ProtBert's, 27 in TAPE's.
    EXPECT_EQ(tokens(BertVocabulary::protbert(), "LlXUZOBJ-*"), (std::vector{5, 5, 25, 25, 25, 25, 25, 1, 1, 1}));
    EXPECT_EQ(tokens(BertVocabulary::iupac(), "AaXUZOBJ-*"), (std::vector{5, 5, 27, 24, 29, 18, 6, 27, 4, 4}));
    EXPECT_EQ(BertVocabulary::from_file(checkpoint("protbert/vocab.txt")).names, BertVocabulary::protbert().names);
    EXPECT_EQ(BertVocabulary::iupac().names.size(), 30U);
}

/// The message of loading the golden ProtBert with another config.json or vocab.txt.
std::string problem_of(std::function<void(nlohmann::json&)> const& spoil, std::string const& words = {}) {
    test::Folder const folder;
    std::filesystem::copy(checkpoint("protbert"), folder / "m");
    auto config = nlohmann::json::parse(test::slurp(folder / "m" / "config.json"));
    spoil(config);
    test::spill(folder / "m" / "config.json", config.dump());
    if (!words.empty()) test::spill(folder / "m" / "vocab.txt", words);
    try {
        BertEncoder const encoder{folder / "m", std::nullopt, {}};
    } catch (data_error const& problem) {
        return problem.what();
    }
    return {};
}

TEST(BertFiles, NamesWhatIsWrong) {
    auto const problem = [](char const* field, nlohmann::json const& value) {
        return problem_of([&](nlohmann::json& config) { config[field] = value; });
    };
    EXPECT_EQ(problem_of([](nlohmann::json&) {}), "");
    EXPECT_NE(problem("hidden_act", "relu").find("BERT's 'hidden_act' must be \"gelu\"; found \"relu\""),
              std::string::npos);
    EXPECT_NE(problem("position_embedding_type", "relative_key").find("must be \"absolute\""), std::string::npos);
    EXPECT_NE(
        problem("num_hidden_layers", 3).find("tensor 'bert.encoder.layer.2.attention.self.query.weight' is missing"),
        std::string::npos);
    EXPECT_NE(problem("hidden_size", 6).find("has shape [30, 8], expected [30, 6]"), std::string::npos);
    EXPECT_NE(problem("num_attention_heads", 3).find("does not divide"), std::string::npos);
    EXPECT_NE(problem("vocab_size", 31).find("'vocab_size' is 31; the vocabulary has 30 tokens"), std::string::npos);
    EXPECT_NE(problem_of([](nlohmann::json&) {}, "[PAD]\n[UNK]\nthe\n").find("has no token '[CLS]'"),
              std::string::npos);
}

TEST(BertFiles, ReadsProteinsBeyondItsPositionsInWindows) {
    BertEncoder encoder{checkpoint("protbert"), std::nullopt, {}};
    std::string residues;
    for (std::size_t i = 0; i < 70; ++i) residues += "ACDEFGHIKLMNPQRSTVWY"[i * i % 19];
    std::vector<Protein> const proteins{{"fits", "", residues.substr(0, 30)}, {"long", "", residues}};
    EXPECT_EQ(encoder.windows(30), 1U);
    EXPECT_EQ(encoder.windows(31), 2U);
    ASSERT_EQ(encoder.windows(70), 3U); // of 30 residues: 0-30, 23-53, 40-70; each residue from where it is innermost
    EmbedRequest const request{.rows = true, .pooled = true, .logits = true};
    auto const embedded = encoder.embed(proteins, request);
    struct Piece {
        Eigen::Index begin, keep_begin, keep_end;
    };
    for (auto const& [begin, keep_begin, keep_end] : {Piece{0, 0, 26}, {23, 26, 46}, {40, 46, 70}}) {
        Protein const piece{"piece", "", residues.substr(static_cast<std::size_t>(begin), 30)};
        auto const alone = encoder.embed(std::span{&piece, 1}, request)[0];
        Eigen::Index const count = keep_end - keep_begin;
        EXPECT_LT((embedded[1].rows.middleRows(keep_begin, count) - alone.rows.middleRows(keep_begin - begin, count))
                      .cwiseAbs()
                      .maxCoeff(),
                  1e-5);
        EXPECT_LT((embedded[1].logits.middleRows(keep_begin, count) - alone.logits.middleRows(keep_begin - begin, count))
                      .cwiseAbs()
                      .maxCoeff(),
                  1e-5);
    }
    Eigen::RowVectorXf const mean = embedded[1].rows.colwise().mean();
    for (Eigen::Index k = 0; k < mean.size(); ++k)
        EXPECT_NEAR(embedded[1].pooled[static_cast<std::size_t>(k)], mean[k], 1e-5);
    for (auto const& ask : {+[](BertEncoder& e, std::span<Protein const> p) { (void)e.likelihoods(p); },
                            +[](BertEncoder& e, std::span<Protein const> p) { (void)e.embed(p, {.attentions = true}); }})
        try {
            ask(encoder, std::span{proteins}.last(1));
            FAIL() << "read a protein that it has no positions for";
        } catch (data_error const& problem) {
            EXPECT_EQ(std::string{problem.what()}, "protein 'long' has 70 residues; this model reads at most 30");
        }
}

TEST(BertFiles, GivesEmbeddingsWithoutItsHeadAndPerplexityWithIt) {
    test::Folder const folder;
    SafetensorsFile const file{checkpoint("protbert/model.safetensors")};
    std::map<std::string, TensorView> bare; // as BertModel saves itself
    for (auto const& [name, view] : file.tensors())
        if (name.starts_with("bert.")) bare.emplace(name.substr(5), view);
    write_safetensors(folder / "model.safetensors", bare);
    std::filesystem::copy_file(checkpoint("protbert/config.json"), folder / "config.json");
    BertEncoder without{folder.path(), std::nullopt, {}}, whole{checkpoint("protbert"), std::nullopt, {}};
    std::vector<Protein> const proteins{{"a", "", "MKTAYXU"}};
    EXPECT_EQ(without.embed(proteins, {.rows = true})[0].rows, whole.embed(proteins, {.rows = true})[0].rows);
    EXPECT_THROW((void)without.embed(proteins, {.logits = true}), usage_error);
    EXPECT_THROW((void)without.likelihoods(proteins), usage_error);
    EXPECT_THROW(without.require(VariantScoring::masked_marginal), usage_error);
    auto const likelihood = whole.likelihoods(proteins)[0];
    EXPECT_EQ(likelihood.tokens, 5U);
    EXPECT_GT(likelihood.perplexity(), 1);
}

} // namespace
} // namespace tape
