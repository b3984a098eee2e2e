// What people ask of a language model: contacts, attention, hidden layers, perplexity, scores of variants.
#include "data/error.hpp"
#include "data/npy.hpp"
#include "features/variant_list.hpp"
#include "learn/transformer_encoder.hpp"
#include "learn/unirep_encoder.hpp"

#include "tests/learn/learn_fixture.hpp"
#include <gtest/gtest.h>

#include <cmath>
#include <sstream>

namespace tape {
namespace {

std::vector<Protein> const proteins{{"p0", "", "MKTAYIAKQR"},
                                    {"p1", "", "M"},
                                    {"p2", "", "GGXBUZO"},
                                    {"p3", "", "ACDEFGHIKLMNPQRSTVWYACDEFGHIKLMNPQRSTVWY"},
                                    {"p4", "", "MKTAYIWKQRLL"}};
std::string const variants_text = "A4G\nA4W\nK2R:L12P\nL12P:K2R\nI6V:W7Y:Q9E\n";

std::map<std::string, Array> questions() { return read_npz(test::golden("esm2_dialect_questions.npz")); }

TransformerEncoder golden_encoder() { return {load_transformer(test::golden("esm2_dialect")), {}}; }

double largest_difference(std::span<float const> values, Array const& expected) {
    auto const numbers = expected.as<double>();
    if (values.size() != numbers.size()) return std::numeric_limits<double>::infinity();
    double largest = 0;
    for (std::size_t i = 0; i < values.size(); ++i)
        largest = std::max(largest, std::abs(static_cast<double>(values[i]) - numbers[i]));
    return largest;
}

std::span<float const> span_of(FeatureMatrix const& matrix) {
    return {matrix.data(), static_cast<std::size_t>(matrix.size())};
}

std::vector<ListedVariant> variants_of(std::string const& text) {
    test::Folder const folder;
    test::spill(folder / "list", text);
    return variants_of_proteins(read_variant_list(folder / "list"), std::span{&proteins[4], 1}).front();
}

TEST(Questions, ContactsAndHiddenLayersAgreeWithTheReference) {
    auto encoder = golden_encoder();
    auto const expected = questions();
    ASSERT_TRUE(encoder.has_contact_head());
    auto const contacts = encoder.embed(proteins, {.contacts = true});
    auto const input = encoder.embed(proteins, {.rows = true, .layer = 0}),
               middle = encoder.embed(proteins, {.rows = true, .layer = 1}),
               last = encoder.embed(proteins, {.rows = true, .layer = 2}),
               plain = encoder.embed(proteins, {.rows = true});
    for (std::size_t i = 0; i < proteins.size(); ++i) {
        std::string const n = std::to_string(i);
        EXPECT_LT(largest_difference(span_of(contacts[i].contacts), expected.at("contacts" + n)), 2e-5) << i;
        EXPECT_LT(largest_difference(span_of(input[i].rows), expected.at("layer0_" + n)), 2e-5) << i;
        EXPECT_LT(largest_difference(span_of(middle[i].rows), expected.at("layer1_" + n)), 2e-5) << i;
        EXPECT_EQ(last[i].rows, plain[i].rows);
    }
    EXPECT_THROW((void)encoder.embed(proteins, {.rows = true, .layer = 3}), usage_error);
    TransformerEncoder const without{load_transformer(test::golden("transformer")), {}};
    EXPECT_THROW(without.require(EmbedRequest{.contacts = true}), usage_error);
}

TEST(Questions, AttentionsAreTheResiduesPartOfTheReference) {
    auto encoder = golden_encoder();
    auto const attentions = encoder.embed(std::span{proteins}.first(1), {.attentions = true})[0].attentions;
    auto const expected = read_npz(test::golden("esm2_dialect.npz"));
    auto const whole = expected.at("attentions0").as<double>(); // 2 x 2 x 12 x 12
    ASSERT_EQ(attentions.size(), 4U * 10 * 10);
    for (std::size_t map = 0; map < 4; ++map)
        for (std::size_t i = 0; i < 10; ++i)
            for (std::size_t j = 0; j < 10; ++j)
                EXPECT_NEAR(attentions[(map * 10 + i) * 10 + j], whole[(map * 12 + i + 1) * 12 + j + 1], 2e-5);
}

TEST(Questions, PseudoLikelihoodMasksOneAminoAcidAtATime) {
    auto encoder = golden_encoder();
    TransformerEncoder narrow{load_transformer(test::golden("esm2_dialect")), {.tokens = 1}};
    auto const expected = questions();
    auto const values = encoder.likelihoods(proteins), single = narrow.likelihoods(proteins);
    for (std::size_t i = 0; i < proteins.size(); ++i) {
        auto const numbers = expected.at("likelihood" + std::to_string(i)).as<double>();
        EXPECT_EQ(values[i].tokens, static_cast<std::size_t>(numbers[1]));
        EXPECT_NEAR(values[i].log_probability, numbers[0], 1e-5 * (1 + numbers[1])) << i;
        EXPECT_NEAR(single[i].log_probability, numbers[0], 1e-5 * (1 + numbers[1])) << i;
        EXPECT_NEAR(std::log(values[i].perplexity()), -numbers[0] / numbers[1], 2e-5);
    }
}

TEST(Questions, MarginalsOfVariantsAgreeWithTheReference) {
    auto encoder = golden_encoder();
    auto const expected = questions();
    auto const variants = variants_of(variants_text + "WT\n");
    auto const masked = encoder.score_variants(proteins[4], variants, VariantScoring::masked_marginal),
               plain = encoder.score_variants(proteins[4], variants, VariantScoring::wild_type_marginal);
    ASSERT_EQ(masked.size(), 6U);
    for (std::size_t i = 0; i < 5; ++i) {
        EXPECT_NEAR(masked[i], expected.at("masked_marginal").as<double>()[i], 4e-5) << i;
        EXPECT_NEAR(plain[i], expected.at("wild_type_marginal").as<double>()[i], 4e-5) << i;
    }
    EXPECT_EQ(masked[2], masked[3]) << "the order of mutations does not matter";
    EXPECT_EQ(masked[5], 0);
    EXPECT_EQ(plain[5], 0);
    EXPECT_THROW((void)encoder.score_variants(proteins[4], variants, VariantScoring::likelihood_ratio), usage_error);
}

TEST(Questions, UniRepTakesExactLikelihoods) {
    UniRepEncoder encoder{load_unirep(test::golden("unirep_single.npz")), {}};
    auto const expected = read_npz(test::golden("unirep_single_expected.npz"));
    auto const values = encoder.likelihoods(proteins);
    for (std::size_t i = 0; i < proteins.size(); ++i) {
        EXPECT_EQ(values[i].tokens, proteins[i].residues.size() + 1);
        EXPECT_NEAR(std::log(values[i].perplexity()), expected.at("nll" + std::to_string(i)).as<double>()[0], 1e-5);
    }
    // The reference's two proteins of the golden file differ by more than substitutions, so its variant is made here.
    auto const variants = variants_of("W7A\nWT\n");
    Protein const changed{"", "", "MKTAYIAKQRLL"};
    auto const scores = encoder.score_variants(proteins[4], variants, VariantScoring::likelihood_ratio);
    EXPECT_NEAR(scores[0], encoder.likelihoods(std::span{&changed, 1})[0].log_probability - values[4].log_probability,
                1e-5);
    EXPECT_EQ(scores[1], 0);
    EXPECT_THROW((void)encoder.score_variants(proteins[4], variants, VariantScoring::masked_marginal), usage_error);
    EXPECT_THROW(encoder.require(EmbedRequest{.contacts = true}), usage_error);
    EXPECT_THROW(encoder.require(EmbedRequest{.rows = true, .layer = 0}), usage_error);
}

/// Rows of a tab-separated table without its header, which must be `header`.
std::vector<std::vector<std::string>> table(std::string const& text, std::string const& header) {
    std::istringstream lines{text};
    std::string line;
    std::getline(lines, line);
    EXPECT_EQ(line, header);
    std::vector<std::vector<std::string>> rows;
    while (std::getline(lines, line)) {
        std::istringstream cells{line};
        rows.emplace_back();
        for (std::string cell; std::getline(cells, cell, '\t');) rows.back().push_back(cell);
    }
    return rows;
}

class QuestionsProgram : public ::testing::Test {
  protected:
    void SetUp() override {
        std::string fasta;
        for (auto const& protein : proteins) fasta += ">" + protein.id + "\n" + protein.residues + "\n";
        test::spill(folder_ / "all.fasta", fasta);
        test::spill(folder_ / "wild.fasta", ">p4\n" + proteins[4].residues + "\n");
        test::spill(folder_ / "list.tsv", "A4G\t1\nA4W\t2\nK2R:L12P\t3\nI6V:W7Y:Q9E\t0.5\n");
    }
    test::Outcome run(std::string const& proteins_file, std::vector<std::string> const& more,
                      std::string const& model = "esm2_dialect") {
        std::vector<std::string> arguments{folder_ / proteins_file, "--model", test::golden(model), "--threads", "1"};
        arguments.insert(arguments.end(), more.begin(), more.end());
        return test::run_program("tape-embed", arguments);
    }
    test::Folder const folder_;
};

TEST_F(QuestionsProgram, WritesContactsAttentionsAndLayers) {
    auto const expected = questions();
    std::string const file = folder_ / "out.npz";
    ASSERT_EQ(run("all.fasta", {"--contacts", "-o", file}).exit_code, 0);
    auto const contacts = read_npz(file);
    ASSERT_EQ(run("all.fasta", {"--attentions", "-o", file}).exit_code, 0);
    auto const attentions = read_npz(file);
    ASSERT_EQ(run("all.fasta", {"--pool", "none", "--layer", "1", "-o", file}).exit_code, 0);
    auto const rows = read_npz(file);
    for (std::size_t i = 0; i < proteins.size(); ++i) {
        std::string const n = std::to_string(i);
        std::size_t const length = proteins[i].residues.size();
        EXPECT_EQ(contacts.at("p" + n).shape, (std::vector{length, length}));
        EXPECT_LT(largest_difference(contacts.at("p" + n).as<float>(), expected.at("contacts" + n)), 2e-5);
        EXPECT_EQ(attentions.at("p" + n).shape, (std::vector<std::size_t>{2, 2, length, length}));
        EXPECT_LT(largest_difference(rows.at("p" + n).as<float>(), expected.at("layer1_" + n)), 2e-5);
    }
}

TEST_F(QuestionsProgram, PrintsPerplexitiesAndScoresOfVariants) {
    auto const expected = questions();
    auto const perplexities = run("all.fasta", {"--perplexity", "-o", "-"});
    ASSERT_EQ(perplexities.exit_code, 0) << perplexities.err;
    auto const rows = table(perplexities.out, "#id\tlength\tscored\tperplexity");
    ASSERT_EQ(rows.size(), proteins.size());
    for (std::size_t i = 0; i < rows.size(); ++i) {
        auto const numbers = expected.at("likelihood" + std::to_string(i)).as<double>();
        double const perplexity = std::exp(-numbers[0] / numbers[1]);
        EXPECT_EQ(rows[i][0], proteins[i].id);
        EXPECT_EQ(rows[i][1], std::to_string(proteins[i].residues.size()));
        EXPECT_EQ(std::stod(rows[i][2]), numbers[1]);
        EXPECT_NEAR(std::stod(rows[i][3]), perplexity, 1e-4 * perplexity);
    }
    auto const scores = run("wild.fasta", {"--variants", folder_ / "list.tsv", "-o", folder_ / "scores.tsv"});
    ASSERT_EQ(scores.exit_code, 0) << scores.err;
    EXPECT_NE(scores.err.find("Spearman's rho with the 4 measured values: "), std::string::npos) << scores.err;
    auto const lines = table(test::slurp(folder_ / "scores.tsv"), "#variant\tscore\tmeasured");
    ASSERT_EQ(lines.size(), 4U);
    for (auto const& [line, variant] : {std::pair{0, 0}, {1, 1}, {2, 2}, {3, 4}})
        EXPECT_NEAR(std::stod(lines[static_cast<std::size_t>(line)][1]),
                    expected.at("masked_marginal").as<double>()[static_cast<std::size_t>(variant)], 4e-5);
    EXPECT_EQ(lines[3], (std::vector<std::string>{"I6V:W7Y:Q9E", lines[3][1], "0.5"}));
    auto const ratio = run("wild.fasta", {"--variants", folder_ / "list.tsv", "-o", "-", "-q"}, "unirep_single.npz");
    EXPECT_EQ(ratio.exit_code, 0) << ratio.err;
    EXPECT_EQ(ratio.err, "");
    EXPECT_EQ(table(ratio.out, "#variant\tscore\tmeasured").size(), 4U);
}

TEST_F(QuestionsProgram, SaysWhatDoesNotGoTogether) {
    auto const fails = [&](std::string const& fasta, std::vector<std::string> more, int code, std::string const& part,
                           std::string const& model = "esm2_dialect") {
        more.insert(more.end(), {"-o", folder_ / "never.npz"});
        auto const outcome = run(fasta, more, model);
        EXPECT_EQ(outcome.exit_code, code) << outcome.err;
        EXPECT_NE(outcome.err.find(part), std::string::npos) << outcome.err;
        EXPECT_FALSE(std::filesystem::exists(folder_ / "never.npz"));
    };
    std::string const list = folder_ / "list.tsv";
    fails("all.fasta", {"--contacts", "--logits"}, 2, "--logits and --contacts exclude each other: one output a run");
    fails("all.fasta", {"--logits", "--pool", "mean"}, 2, "--pool is about embeddings; it says nothing of --logits");
    fails("all.fasta", {"--contacts", "--layer", "1"}, 2, "--layer is about embeddings");
    fails("all.fasta", {"--score", "masked-marginal"}, 2, "--score needs --variants FILE");
    fails("all.fasta", {"--layer", "3"}, 2, "this model has no layer 3: choose 0 (embedding) to 2 (last)");
    fails("all.fasta", {"--contacts"}, 2, "this model has no contact head", "transformer");
    fails("all.fasta", {"--attentions"}, 2, "UniRep has no attention maps", "unirep_single.npz");
    fails("all.fasta", {"--variants", list}, 2, "--variants needs the wild type alone, and the file holds 5 proteins");
    auto const twice = test::run_program("tape-embed", {"-", "--variants", "-", "-o", folder_ / "never.npz"});
    EXPECT_EQ(twice.exit_code, 2);
    EXPECT_NE(twice.err.find("proteins and --variants cannot both be read from stdin"), std::string::npos) << twice.err;
    fails("wild.fasta", {"--variants", list, "--first-position", "2"}, 3,
          "list.tsv:1: variant 'A4G' is none of record 'p4'");
    fails("wild.fasta", {"--variants", list, "--score", "likelihood-ratio"}, 2, "choose masked-marginal or");
    fails("wild.fasta", {"--variants", list, "--score", "masked-marginal"}, 2, "its only score of variants is",
          "unirep_single.npz");
}

} // namespace
} // namespace tape
