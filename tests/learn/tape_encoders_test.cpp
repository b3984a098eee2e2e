// The encoders of the TAPE paper that are no Transformers: LSTM, ResNet, and Bepler & Berger's model.
#include "data/error.hpp"
#include "data/npy.hpp"
#include "learn/bepler.hpp"
#include "learn/checkpoint.hpp"
#include "learn/encoder_source.hpp"
#include "learn/models.hpp"
#include "learn/tape_lstm.hpp"
#include "learn/tape_resnet.hpp"

#include "tests/learn/encoder_agreement.hpp"
#include "tests/learn/learn_fixture.hpp"
#include <ATen/ops/full_like.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <cmath>
#include <functional>
#include <limits>
#include <set>

namespace tape {
namespace {

struct Dialect {
    std::string name, file; ///< of the golden model
    ModelKind kind;
    int width;
    /// Tensors that the network can do without: constants, what is tied, and the heads of other tasks.
    std::set<std::string> needless;
};

Dialect const dialects[] = {
    {"tape_lstm", "tape_lstm", ModelKind::tape_lstm, 16, {}},
    {"tape_resnet",
     "tape_resnet",
     ModelKind::tape_resnet,
     8,
     {"resnet.embeddings.inverse_frequency", "mlm.decoder.weight"}},
    {"bepler",
     "bepler.pt",
     ModelKind::bepler,
     9,
     {"cmap_predict.conv.bias", "cmap_predict.conv.weight", "cmap_predict.hidden.bias", "cmap_predict.hidden.weight",
      "scop_predict.beta", "scop_predict.gap", "scop_predict.theta"}}};

std::filesystem::path checkpoint(std::string const& name) { return test::golden("checkpoints/" + name); }

std::unique_ptr<MaskedEncoder> load(ModelKind kind, std::filesystem::path const& model,
                                    MaskedEncoder::Options const& options = {}) {
    if (kind == ModelKind::tape_lstm) return std::make_unique<TapeLstmEncoder>(model, std::nullopt, options);
    if (kind == ModelKind::tape_resnet) return std::make_unique<TapeResNetEncoder>(model, std::nullopt, options);
    return std::make_unique<BeplerEncoder>(model, std::nullopt, options);
}

class TapeEncoders : public ::testing::TestWithParam<Dialect> {};

INSTANTIATE_TEST_SUITE_P(Dialects, TapeEncoders, ::testing::ValuesIn(dialects),
                         [](auto const& chosen) { return chosen.param.name; });

TEST_P(TapeEncoders, AgreeWithTheOriginalProgram) {
    auto const encoder = load(GetParam().kind, checkpoint(GetParam().file));
    test::expect_encoder_agrees(*encoder, read_npz(checkpoint(GetParam().name + ".npz")));
    auto const unused = encoder->unused_tensors();
    if (GetParam().kind == ModelKind::bepler) {
        EXPECT_EQ((std::set<std::string>{unused.begin(), unused.end()}), GetParam().needless);
    } else {
        EXPECT_TRUE(unused.empty());
    }
}

TEST_P(TapeEncoders, BatchOrderAndPaddingChangeNothing) {
    auto proteins = test::agreement_proteins(true);
    EmbedRequest const request{.rows = true, .pooled = true, .logits = true};
    auto const whole = load(GetParam().kind, checkpoint(GetParam().file));
    auto const narrow = load(GetParam().kind, checkpoint(GetParam().file), {.tokens = 1}); // each protein alone
    auto const expected = narrow->embed(proteins, request);
    std::ranges::reverse(proteins);
    auto const got = whole->embed(proteins, request);
    for (std::size_t i = 0; i < proteins.size(); ++i) {
        auto const &a = got[i], &b = expected[proteins.size() - 1 - i];
        EXPECT_LT((a.rows - b.rows).cwiseAbs().maxCoeff(), 2e-6F) << i;
        EXPECT_LT((a.logits - b.logits).cwiseAbs().maxCoeff(), 1e-5F) << i;
        // The mean is over residues: start and end tokens are no part of it.
        for (Eigen::Index k = 0; k < a.rows.cols(); ++k)
            EXPECT_NEAR(a.pooled[static_cast<std::size_t>(k)], b.rows.col(k).mean(), 2e-6F);
    }
}

TEST_P(TapeEncoders, StayNearTheirFloatValuesInBfloat16) {
    auto const proteins = test::agreement_proteins(true);
    EmbedRequest const request{.rows = true, .logits = true};
    auto const exact = load(GetParam().kind, checkpoint(GetParam().file))->embed(proteins, request);
    auto const rounded =
        load(GetParam().kind, checkpoint(GetParam().file), {.precision = at::kBFloat16})->embed(proteins, request);
    for (std::size_t i = 0; i < proteins.size(); ++i) {
        EXPECT_LT((rounded[i].rows - exact[i].rows).norm(), 0.02F * exact[i].rows.norm()) << i;
        EXPECT_LT((rounded[i].logits - exact[i].logits).norm(), 0.02F * exact[i].logits.norm()) << i;
        EXPECT_GT((rounded[i].rows - exact[i].rows).norm(), 0) << i;
    }
}

TEST_P(TapeEncoders, AreRecognisedAndHaveAnUnpretrainedControl) {
    std::string const model = checkpoint(GetParam().file);
    EXPECT_EQ(locate_model(model).kind, GetParam().kind);
    std::vector<Protein> const proteins{{"a", "", "MKTAYIAKQR"}};
    auto const source = make_encoder_source("x", model, false, {.threads = 1});
    auto const drawn = make_encoder_source("x", model, true, {.threads = 1, .seed = 1}),
               again = make_encoder_source("x", model, true, {.threads = 1, .seed = 1}),
               other = make_encoder_source("x", model, true, {.threads = 1, .seed = 2});
    EXPECT_EQ(source->residue_width(), GetParam().width);
    EXPECT_EQ(source->pair_width(), 0);
    EXPECT_EQ(drawn->content_hash(), again->content_hash());
    EXPECT_NE(drawn->content_hash(), other->content_hash());
    EXPECT_NE(drawn->content_hash(), source->content_hash());
    auto const rows = [&](FeatureSource& from) { return from.compute(proteins, {.rows = true})[0].rows; };
    EXPECT_EQ(rows(*drawn), rows(*again));
    EXPECT_GT((rows(*drawn) - rows(*other)).norm(), 1e-3);
    EXPECT_GT((rows(*drawn) - rows(*source)).norm(), 1e-3);
}

/// A golden model whose tensors were changed, as safetensors.
std::string problem_of(Dialect const& dialect, std::function<void(NamedTensors&)> const& spoil) {
    test::Folder const folder;
    auto const original = read_checkpoint(checkpoint(dialect.file));
    NamedTensors tensors;
    for (auto const& [name, tensor] : original.tensors) tensors[name] = tensor.clone();
    spoil(tensors);
    save_tensors(folder / "model.safetensors", tensors);
    if (dialect.kind != ModelKind::bepler)
        std::filesystem::copy_file(checkpoint(dialect.file) / "config.json", folder / "config.json");
    try {
        (void)load(dialect.kind, folder / "model.safetensors");
    } catch (data_error const& problem) {
        return problem.what();
    }
    return {};
}

TEST_P(TapeEncoders, NameEveryTensorThatIsMissingOrWrong) {
    auto const& dialect = GetParam();
    EXPECT_EQ(problem_of(dialect, [](NamedTensors&) {}), "");
    for (auto const& [name, tensor] : read_checkpoint(checkpoint(dialect.file)).tensors) {
        auto const missing = problem_of(dialect, [&](NamedTensors& tensors) { tensors.erase(name); });
        if (dialect.needless.contains(name)) {
            EXPECT_EQ(missing, "") << name;
            continue;
        }
        EXPECT_NE(missing.find("tensor '" + name + "' is missing"), std::string::npos) << name << ": " << missing;
        auto const infinite = problem_of(dialect, [&](NamedTensors& tensors) {
            tensors[name].view({-1})[-1].fill_(std::numeric_limits<float>::quiet_NaN());
        });
        EXPECT_NE(infinite.find("tensor '" + name + "' holds NaN or infinity"), std::string::npos) << infinite;
        auto const flat = problem_of(dialect, [&](NamedTensors& tensors) {
            tensors[name] = at::full_like(tensors[name], 1).unsqueeze(0).contiguous();
        });
        EXPECT_TRUE(flat.find("tensor '" + name + "' has shape [1, ") != std::string::npos ||
                    flat.find("tensor '" + name + "' is no matrix") != std::string::npos)
            << flat;
    }
}

/// The message of loading a golden model with another config.json.
std::string config_problem(Dialect const& dialect, std::function<void(nlohmann::json&)> const& spoil) {
    test::Folder const folder;
    std::filesystem::copy(checkpoint(dialect.file), folder / "m");
    auto config = nlohmann::json::parse(test::slurp(folder / "m" / "config.json"));
    spoil(config);
    test::spill(folder / "m" / "config.json", config.dump());
    try {
        (void)load(dialect.kind, folder / "m");
    } catch (data_error const& problem) {
        return problem.what();
    }
    return {};
}

TEST(TapeConfig, NamesWhatIsWrong) {
    auto const problem = [](Dialect const& dialect, char const* field, nlohmann::json const& value) {
        return config_problem(dialect, [&](nlohmann::json& config) { config[field] = value; });
    };
    auto const &lstm = dialects[0], &resnet = dialects[1];
    auto const expect = [](std::string const& said, char const* expected) {
        EXPECT_NE(said.find(expected), std::string::npos) << said;
    };
    expect(problem(lstm, "vocab_size", 29), "'vocab_size' is 29; the vocabulary has 30 tokens");
    expect(problem(lstm, "input_size", -1), "field 'input_size' must be a positive whole number, found -1");
    expect(problem(lstm, "hidden_size", "8"), "must be a positive whole number, found \"8\"");
    expect(problem(lstm, "num_hidden_layers", 4), "tensor 'lstm.encoder.forward_lstm.3.lstm.weight_ih_l0' is missing");
    expect(problem(lstm, "hidden_size", 6), "has shape [32, 5], expected [24, 5]");
    expect(problem(lstm, "num_hidden_layers", 2),
           "tensor 'lstm.pooler.scalar_reweighting.weight' has shape [1, 6], expected [1, 4]");
    expect(problem(resnet, "hidden_act", "relu"), "the ResNet's 'hidden_act' must be \"gelu\"; found \"relu\"");
    expect(problem(resnet, "hidden_size", 7), "'hidden_size' 7 is odd");
    expect(problem(resnet, "vocab_size", 31), "'vocab_size' is 31; the vocabulary has 30 tokens");
    expect(problem(resnet, "num_hidden_layers", 3), "tensor 'resnet.encoder.layer.2.conv1.weight' is missing");
    expect(problem(resnet, "num_hidden_layers", 2e9), "must be a positive whole number");
}

TEST(TapeFiles, AreTakenAsPyTorchFilesTooAndWithoutTheirHeads) {
    test::Folder const folder;
    std::vector<Protein> const proteins{{"a", "", "MKTAYIAKQRXU"}};
    for (auto const& dialect : {dialects[0], dialects[1]}) {
        auto const expected = load(dialect.kind, checkpoint(dialect.file))->embed(proteins, {.rows = true})[0].rows;
        auto const place = folder / dialect.name;
        std::filesystem::create_directory(place);
        std::filesystem::copy_file(checkpoint(dialect.file) / "pytorch_model.bin", place / "some.pt");
        EXPECT_EQ(locate_model(place / "some.pt").kind, dialect.kind);
        EXPECT_THROW((void)load(dialect.kind, place / "some.pt"), data_error) << "there is no config.json yet";
        std::filesystem::copy_file(checkpoint(dialect.file) / "config.json", place / "config.json");
        EXPECT_EQ(load(dialect.kind, place / "some.pt")->embed(proteins, {.rows = true})[0].rows, expected);
        EXPECT_EQ(locate_model(place).kind, dialect.kind);
        EXPECT_EQ(load(dialect.kind, place)->embed(proteins, {.rows = true})[0].rows, expected);
        // A model for a task: the body under its prefix, another head.
        NamedTensors tensors;
        auto const original = read_checkpoint(checkpoint(dialect.file));
        for (auto const& [name, tensor] : original.tensors)
            if (name.starts_with("lstm.") || name.starts_with("resnet.")) tensors[name] = tensor;
        tensors["predict.value_prediction.main.0.bias"] = at::ones({3});
        save_tensors(place / "model.safetensors", tensors);
        auto const task = load(dialect.kind, place);
        EXPECT_EQ(task->unused_tensors(), (std::vector<std::string>{"predict.value_prediction.main.0.bias"}));
        EXPECT_EQ(task->embed(proteins, {.rows = true})[0].rows, expected);
        EXPECT_THROW((void)task->embed(proteins, {.logits = true}), usage_error);
        EXPECT_THROW((void)task->likelihoods(proteins), usage_error);
        // The bare body.
        NamedTensors body;
        for (auto const& [name, tensor] : tensors)
            if (!name.starts_with("predict.")) body[name.substr(name.find('.') + 1)] = tensor;
        save_tensors(place / "model.safetensors", body);
        EXPECT_EQ(load(dialect.kind, place)->embed(proteins, {.rows = true})[0].rows, expected);
    }
    std::filesystem::create_directory(folder / "b");
    std::filesystem::copy_file(checkpoint("bepler.pt"), folder / "b" / "model.sav");
    EXPECT_EQ(locate_model(folder / "b").kind, ModelKind::bepler);
}

TEST(TapeFiles, RefusePickledPrograms) {
    for (char const* const name : {"program.zip.sav", "program.legacy.sav"}) {
        try {
            (void)locate_model(checkpoint(name));
            FAIL() << name << " was taken";
        } catch (data_error const& problem) {
            std::string const all = describe(problem);
            EXPECT_NE(all.find("a pickled program (a whole module), whose code is not run here"), std::string::npos);
            EXPECT_NE(all.find("it asks for '__main__.Program'"), std::string::npos) << all;
        }
    }
}

TEST(BeplerTokens, AreTheOriginalsAlphabet) {
    std::string const letters = "ARNDCQEGHILKMFPSTWYVXOUBZJ-*a";
    std::vector<std::int64_t> tokens;
    for (char const letter : letters) tokens.push_back(BeplerTokenizer::token(letter));
    EXPECT_EQ(tokens, (std::vector<std::int64_t>{1,  2,  3,  4,  5,  6,  7,  8, 9,  10, 11, 12, 13, 14, 15,
                                                 16, 17, 18, 19, 20, 21, 12, 5, 21, 21, 21, 21, 21, 1}));
    EXPECT_EQ(BeplerTokenizer::name(0), "<stop>");
    EXPECT_EQ(BeplerTokenizer::name(20), "V");
}

class Bidirectional : public ::testing::TestWithParam<Dialect> {};
INSTANTIATE_TEST_SUITE_P(Dialects, Bidirectional, ::testing::Values(dialects[0], dialects[2]),
                         [](auto const& chosen) { return chosen.param.name; });

TEST_P(Bidirectional, PredictsAResidueFromAllOthersAlone) {
    auto const encoder = load(GetParam().kind, checkpoint(GetParam().file));
    std::vector<Protein> const proteins{{"a", "", "MKTAYIAKQR"}, {"b", "", "MKTAWIAKQR"}};
    auto const results = encoder->embed(proteins, {.logits = true});
    auto const apart = (results[0].logits - results[1].logits).rowwise().norm().eval();
    for (Eigen::Index i = 0; i < 10; ++i) {
        if (i == 4) {
            EXPECT_LT(apart[i], 1e-6F);
        } else {
            EXPECT_GT(apart[i], 1e-6F) << i;
        }
    }
}

TEST_P(Bidirectional, AnswersPerplexityAndVariantsInOnePass) {
    auto const encoder = load(GetParam().kind, checkpoint(GetParam().file));
    std::vector<Protein> const proteins{{"a", "", "MKXAY"}};
    Eigen::MatrixXd const logits = encoder->embed(proteins, {.logits = true})[0].logits.cast<double>();
    auto const names = encoder->logit_names();
    auto const column = [&](char letter) { return std::ranges::find(names, std::string(1, letter)) - names.begin(); };
    double expected = 0;
    for (Eigen::Index i : {0, 1, 3, 4}) // X is context only
        expected += logits(i, column(proteins[0].residues[static_cast<std::size_t>(i)])) -
                    std::log(logits.row(i).array().exp().sum());
    auto const likelihood = encoder->likelihoods(proteins)[0];
    EXPECT_EQ(likelihood.tokens, 4U);
    EXPECT_NEAR(likelihood.log_probability, expected, 1e-5);
    EXPECT_EQ(encoder->default_scoring(), VariantScoring::wild_type_marginal);
    std::vector<ListedVariant> const variants{
        {.name = "K2W:Y5A", .query = {}, .mutations = parse_mutations("K2W:Y5A", 1), .measured = {}}};
    auto const scores = encoder->score_variants(proteins[0], variants, VariantScoring::wild_type_marginal);
    EXPECT_NEAR(scores[0],
                logits(1, column('W')) - logits(1, column('K')) + logits(4, column('A')) - logits(4, column('Y')),
                1e-5);
    for (auto const scoring : {VariantScoring::masked_marginal, VariantScoring::likelihood_ratio})
        EXPECT_THROW(encoder->require(scoring), usage_error);
    for (EmbedRequest const& request : {EmbedRequest{.attentions = true}, EmbedRequest{.pairs = true},
                                        EmbedRequest{.contacts = true}, EmbedRequest{.logits = true, .layer = 0}})
        EXPECT_THROW(encoder->require(request), usage_error);
}

TEST(PublishedNetworks, AreDrawnWithoutWeights) {
    std::vector<Protein> const proteins{{"a", "", "MKTAYIAKQR"}};
    for (auto const& [name, width] : {std::pair{"lstm", 2048}, {"resnet", 512}, {"bepler", 100}}) {
        auto const source = make_encoder_source(std::string{name} + "@random", name, true, {.threads = 1, .seed = 3});
        EXPECT_EQ(source->residue_width(), width) << name;
        auto const features = source->compute(proteins, {.rows = true, .pooled = true});
        EXPECT_EQ(features[0].rows.cols(), width);
        EXPECT_EQ(features[0].pooled.size(), static_cast<std::size_t>(width));
        EXPECT_TRUE(features[0].rows.allFinite());
        EXPECT_GT((features[0].rows.row(0) - features[0].rows.row(9)).norm(), 0);
        EXPECT_THROW((void)make_encoder_source(name, name, false, {.threads = 1}), usage_error);
    }
}

TEST(EmbedProgram, ReadsTheEncodersOfTape) {
    test::Folder const folder;
    test::spill(folder / "p.fasta", ">a\nMKTAYIAKQR\n>b\nMK\n");
    auto const run = [&](std::string const& model, std::vector<std::string> const& more) {
        std::vector<std::string> arguments{folder / "p.fasta", "--model", checkpoint(model), "-o", folder / "out.npz",
                                           "--threads",        "1"};
        arguments.insert(arguments.end(), more.begin(), more.end());
        std::filesystem::remove(folder / "out.npz");
        return test::run_program("tape-embed", arguments);
    };
    for (auto const& dialect : dialects) {
        auto const expected = read_npz(checkpoint(dialect.name + ".npz"));
        auto const outcome = run(dialect.file, {"--logits"});
        EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
        auto const written = read_npz(folder / "out.npz");
        auto const values = written.at("a").as<float>(), reference = expected.at("logits0").as<float>();
        ASSERT_EQ(values.size(), reference.size());
        for (std::size_t i = 0; i < values.size(); ++i) EXPECT_NEAR(values[i], reference[i], 2e-5);
        auto const pooled = run(dialect.file, {"--pool", "pooler"});
        if (dialect.kind == ModelKind::bepler) {
            EXPECT_EQ(pooled.exit_code, 2);
            EXPECT_NE(pooled.err.find("has no pooling layer of its own"), std::string::npos) << pooled.err;
            EXPECT_NE(outcome.err.find("tensor 'scop_predict.theta' of the weights is not used"), std::string::npos);
            continue;
        }
        EXPECT_EQ(outcome.err, "");
        EXPECT_EQ(pooled.exit_code, 0) << pooled.err;
        EXPECT_EQ(read_npz(folder / "out.npz").at("a").shape, (std::vector<std::size_t>{8}));
    }
    auto const program = run("program.legacy.sav", {});
    EXPECT_EQ(program.exit_code, 3);
    EXPECT_NE(program.err.find("'__main__.Program'"), std::string::npos) << program.err;
}

} // namespace
} // namespace tape
