#include "data/error.hpp"
#include "data/npy.hpp"
#include "learn/rotary.hpp"
#include "learn/transformer.hpp"
#include "learn/transformer_encoder.hpp"

#include "tests/learn/learn_fixture.hpp"
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/allclose.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/full.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/stack.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <cmath>
#include <functional>
#include <limits>

namespace tape {
namespace {

constexpr int sequences = 5;
std::string const letters[sequences] = {"MKTAYIAKQR", "M", "GGXBUZO", "ACDEFGHIKLMNPQRSTVWYACDEFGHIKLMNPQRSTVWY",
                                        "MKTAYIWKQRLL"};

at::Tensor expected(std::map<std::string, Array> const& arrays, std::string const& name) {
    auto const& array = arrays.at(name);
    std::vector<std::int64_t> const shape{array.shape.begin(), array.shape.end()};
    auto const type = array.type == Array::Type::int64 ? at::kLong : at::kDouble;
    return at::from_blob(const_cast<std::byte*>(array.bytes.data()), shape, at::TensorOptions{type}).clone();
}

double largest_difference(at::Tensor const& a, at::Tensor const& b) {
    return (a.to(at::kDouble) - b.to(at::kDouble)).abs().max().item<double>();
}

class Dialect : public ::testing::TestWithParam<char const*> {};

TEST_P(Dialect, AgreesWithTheFloat64Reference) {
    at::NoGradGuard const no_gradients;
    auto const arrays = read_npz(test::golden(std::string{GetParam()} + ".npz"));
    auto const loaded = load_transformer(test::golden(GetParam()));
    EXPECT_TRUE(loaded.unused.empty());
    for (int i = 0; i < sequences; ++i) {
        std::string const n = std::to_string(i);
        TokenBatch const batch{expected(arrays, "tokens" + n).unsqueeze(0), false};
        auto const plain = loaded.model.forward(batch);
        auto const mapped = loaded.model.forward(batch, {.attentions = true});
        EXPECT_LT(largest_difference(plain.hidden[0], expected(arrays, "hidden" + n)), 2e-5) << i;
        EXPECT_LT(largest_difference(mapped.hidden[0], expected(arrays, "hidden" + n)), 2e-5) << i;
        EXPECT_LT(largest_difference(loaded.model.logits(plain.hidden[0]), expected(arrays, "logits" + n)), 2e-5) << i;
        at::Tensor const maps = at::cat(mapped.attentions).view({2, 2, batch.tokens.size(1), batch.tokens.size(1)});
        EXPECT_LT(largest_difference(maps, expected(arrays, "attentions" + n)), 2e-5) << i;
    }
}

TEST_P(Dialect, PaddingChangesNothing) {
    at::NoGradGuard const no_gradients;
    auto const arrays = read_npz(test::golden(std::string{GetParam()} + ".npz"));
    auto const loaded = load_transformer(test::golden(GetParam()));
    std::vector<std::vector<std::int64_t>> rows;
    for (int i = 0; i < sequences; ++i) {
        at::Tensor const tokens = expected(arrays, "tokens" + std::to_string(i));
        rows.emplace_back(tokens.const_data_ptr<std::int64_t>(),
                          tokens.const_data_ptr<std::int64_t>() + tokens.numel());
    }
    auto const together = loaded.model.forward(TokenBatch::from(rows, at::kCPU));
    auto const mapped = loaded.model.forward(TokenBatch::from(rows, at::kCPU), {.attentions = true});
    for (int i = 0; i < sequences; ++i) {
        auto const length = static_cast<std::int64_t>(rows[static_cast<std::size_t>(i)].size());
        at::Tensor const alone = expected(arrays, "hidden" + std::to_string(i));
        EXPECT_LT(largest_difference(together.hidden[i].slice(0, 0, length), alone), 2e-5) << i;
        EXPECT_LT(largest_difference(mapped.hidden[i].slice(0, 0, length), alone), 2e-5) << i;
    }
}

INSTANTIATE_TEST_SUITE_P(Transformer, Dialect, ::testing::Values("transformer", "esm2_dialect"));

TEST(Transformer, TrainingPathAgreesWithInference) {
    auto const loaded = load_transformer(test::golden("transformer"));
    Transformer model = loaded.model;
    TokenBatch const batch =
        TokenBatch::from({EsmTokenizer::wrapped(letters[0]), EsmTokenizer::wrapped(letters[3])}, at::kCPU);
    at::Tensor inferred;
    {
        at::NoGradGuard const no_gradients;
        inferred = model.forward(batch).hidden.clone();
    }
    model.require_gradients();
    at::Tensor const trained = model.forward(batch).hidden;
    EXPECT_TRUE(trained.requires_grad());
    at::Tensor const present = batch.tokens.ne(EsmTokenizer::pad).unsqueeze(-1);
    EXPECT_LT(largest_difference(trained.detach() * present, inferred * present), 2e-5);
}

TEST(Transformer, EveryParameterReceivesAGradient) {
    Transformer model{{.hidden = 8, .layers = 2, .heads = 2}, 1};
    model.require_gradients();
    auto const hidden = model.forward(TokenBatch::from({EsmTokenizer::wrapped("ACDEFGH")}, at::kCPU)).hidden;
    (model.logits(hidden[0]) * at::randn({9, 33})).sum().backward();
    for (auto const& [name, value, decays] : model.parameters()) {
        ASSERT_TRUE(value.grad().defined()) << name;
        EXPECT_GT(value.grad().abs().max().item<double>(), 0) << name;
        EXPECT_EQ(decays, value.dim() == 2) << name;
    }
}

TEST(Transformer, Bfloat16StaysNearFloat32) {
    at::NoGradGuard const no_gradients;
    Transformer model{{.hidden = 64, .layers = 3, .heads = 4}, 7};
    TokenBatch const batch = TokenBatch::from({EsmTokenizer::wrapped(letters[3])}, at::kCPU);
    at::Tensor const exact = model.forward(batch).hidden;
    model.set_compute_type(at::kBFloat16);
    double const difference = largest_difference(model.forward(batch).hidden, exact);
    EXPECT_GT(difference, 0);
    EXPECT_LT(difference, 0.1); // hidden values have unit variance, products 8 bits
}

TEST(Rotary, KernelAgreesWithTheReferenceBothWays) {
    for (auto const type : {at::kFloat, at::kBFloat16}) {
        at::Tensor const angles = at::randn({11, 3});
        at::Tensor const cos = angles.cos(), sin = angles.sin();
        at::Tensor const a = at::randn({2, 11, 3, 2, 6}).to(type).requires_grad_(true),
                         b = a.detach().clone().requires_grad_(true);
        at::Tensor const weight = at::randn({2, 11, 3, 2, 6}).to(type);
        at::Tensor const fast = rotate(a, cos, sin), reference = rotate_reference(b, cos, sin);
        (fast * weight).sum().backward();
        (reference * weight).sum().backward();
        double const bound = type == at::kFloat ? 1e-6 : 0.04;
        EXPECT_LT(largest_difference(fast.detach(), reference.detach()), bound);
        EXPECT_LT(largest_difference(a.grad(), b.grad()), bound);
    }
}

TEST(Transformer, SavesWhatItLoads) {
    test::Folder const folder;
    auto const first = load_transformer(test::golden("esm2_dialect"));
    save_transformer(folder.path(), first.model);
    auto const again = load_transformer(folder.path());
    EXPECT_EQ(again.model.config(), first.model.config());
    auto const before = first.model.state(), after = again.model.state();
    ASSERT_EQ(before.size(), after.size());
    for (auto const& [name, tensor] : before) EXPECT_TRUE(tensor.equal(after.at(name))) << name;
    save_transformer(folder.path(), first.model, at::kHalf);
    auto const half = load_transformer(folder.path());
    for (auto const& [name, tensor] : half.model.state())
        EXPECT_TRUE(at::allclose(tensor, before.at(name), 1e-3, 1e-3)) << name;
}

/// The message of loading the golden model with one change to its tensors.
std::string problem_of(std::function<void(NamedTensors&)> const& spoil) {
    test::Folder const folder;
    std::filesystem::copy_file(test::golden("transformer/config.json"), folder / "config.json");
    SafetensorsFile const file{test::golden("transformer/model.safetensors")};
    NamedTensors tensors;
    for (auto const& [name, view] : file.tensors()) tensors.emplace(name, tensor_over(view).clone());
    spoil(tensors);
    save_tensors(folder / "model.safetensors", tensors);
    try {
        auto const loaded = load_transformer(folder.path());
        return loaded.unused.empty() ? "" : "unused " + loaded.unused.front();
    } catch (data_error const& problem) {
        return problem.what();
    }
}

TEST(Transformer, NamesTheTensorThatIsWrong) {
    std::string const name = "esm.encoder.layer.1.attention.self.key.weight";
    EXPECT_EQ(problem_of([](NamedTensors&) {}), "");
    EXPECT_NE(problem_of([&](NamedTensors& t) { t.erase(name); }).find("tensor '" + name + "' is missing"),
              std::string::npos);
    EXPECT_NE(problem_of([&](NamedTensors& t) {
                  t[name] = at::ones({16, 15});
              }).find("tensor '" + name + "' has shape [16, 15], expected [16, 16]"),
              std::string::npos);
    EXPECT_NE(problem_of([&](NamedTensors& t) {
                  t[name][3][4] = std::numeric_limits<float>::quiet_NaN();
              }).find("'" + name + "' holds NaN"),
              std::string::npos);
    EXPECT_EQ(problem_of([](NamedTensors& t) { t["stranger"] = at::ones({1}); }), "unused stranger");
}

TEST(Transformer, RefusesOtherDialects) {
    test::Folder const folder;
    auto config = nlohmann::json::parse(test::slurp(test::golden("transformer/config.json")));
    auto const message = [&](char const* field, nlohmann::json const& value) -> std::string {
        auto changed = config;
        changed[field] = value;
        test::spill(folder / "config.json", changed.dump());
        try {
            (void)load_transformer(folder.path());
        } catch (data_error const& problem) {
            return problem.what();
        }
        return {};
    };
    EXPECT_NE(message("model_type", "bert").find("'model_type' is \"bert\""), std::string::npos);
    EXPECT_NE(message("position_embedding_type", "absolute").find("'position_embedding_type' is \"rotary\""),
              std::string::npos);
    EXPECT_NE(message("hidden_size", 0).find("'hidden_size'"), std::string::npos);
    EXPECT_NE(message("hidden_size", 17).find("does not divide"), std::string::npos);
    EXPECT_NE(message("num_hidden_layers", "two").find("'num_hidden_layers'"), std::string::npos);
    EXPECT_NE(message("hidden_size", 16).find("holds no model.safetensors"), std::string::npos);
}

TEST(Transformer, PresetsHaveTheSizesTheyAreNamedAfter) {
    for (auto const& [name, millions] :
         {std::pair{"1M", 1.0}, {"2M", 1.8}, {"3M", 3.2}, {"8M", 7.5}, {"35M", 33.5}, {"150M", 148.1}, {"650M", 651.0}})
        EXPECT_NEAR(static_cast<double>(transformer_preset(name).parameter_count()) / 1e6, millions,
                    0.1 + 0.01 * millions)
            << name;
    EXPECT_THROW((void)transformer_preset("9M"), usage_error);
    EXPECT_THROW(check({.hidden = 64, .layers = 2, .heads = 5}), usage_error);
}

std::vector<Protein> proteins() {
    std::vector<Protein> all;
    for (auto const& residues : letters) all.push_back({"p" + std::to_string(all.size()), "", residues});
    return all;
}

TEST(TransformerEncoder, BatchAndOrderChangeNothing) {
    auto const all = proteins();
    TransformerEncoder together{load_transformer(test::golden("transformer")), {}};
    TransformerEncoder narrow{load_transformer(test::golden("transformer")), {.tokens = 1}};
    EmbedRequest const request{.rows = true, .pooled = true, .logits = true};
    auto const batched = together.embed(all, request), single = narrow.embed(all, request);
    std::vector<Protein> reversed{all.rbegin(), all.rend()};
    auto const backwards = together.embed(reversed, request);
    for (std::size_t i = 0; i < all.size(); ++i) {
        auto const& turned = backwards[all.size() - 1 - i];
        ASSERT_EQ(batched[i].rows.rows(), static_cast<Eigen::Index>(all[i].residues.size()));
        EXPECT_LT((batched[i].rows - single[i].rows).cwiseAbs().maxCoeff(), 1e-5);
        EXPECT_LT((batched[i].rows - turned.rows).cwiseAbs().maxCoeff(), 1e-5);
        EXPECT_LT((batched[i].logits - single[i].logits).cwiseAbs().maxCoeff(), 1e-5);
        Eigen::RowVectorXf const mean = single[i].rows.colwise().mean();
        for (Eigen::Index k = 0; k < mean.size(); ++k)
            EXPECT_NEAR(batched[i].pooled[static_cast<std::size_t>(k)], mean[k], 1e-5);
    }
}

/// More tokens than a block of queries and of keys, odd lengths, more batches than threads.
TEST(TransformerEncoder, PackedSequencesAgreeWithThePaddedNetwork) {
    at::NoGradGuard const no_gradients;
    TransformerConfig const config{.hidden = 48, .layers = 2, .heads = 4, .token_dropout = true};
    for (auto const type : {at::kFloat, at::kBFloat16}) {
        Transformer const padded{config, 5};
        TransformerEncoder encoder{{Transformer{config, 5}, std::nullopt, {}, "hash"},
                                   {.precision = type, .packed_tokens = 700}};
        std::vector<Protein> all;
        for (std::size_t const length : {1, 30, 31, 32, 33, 64, 255, 510, 513, 1100, 1203, 61}) {
            std::string residues;
            for (std::size_t i = 0; i < length; ++i) residues += "ACDEFGHIKLMNPQRSTVWY"[(i * i + length) % 20];
            all.push_back({"p", "", residues});
        }
        for (int const threads : {1, 3}) {
            at::set_num_threads(threads);
            auto const packed = encoder.embed(all, {.rows = true});
            for (std::size_t i = 0; i < all.size(); ++i) {
                auto const batch = TokenBatch::from({EsmTokenizer::wrapped(all[i].residues)}, at::kCPU);
                at::Tensor const hidden =
                    padded.forward(batch).hidden[0].slice(0, 1, static_cast<std::int64_t>(all[i].residues.size()) + 1);
                Eigen::Map<FeatureMatrix const> const expected{hidden.contiguous().const_data_ptr<float>(),
                                                               hidden.size(0), hidden.size(1)};
                EXPECT_LT((packed[i].rows - expected).cwiseAbs().maxCoeff(), type == at::kFloat ? 2e-5 : 0.1)
                    << i << " " << threads;
            }
        }
        at::set_num_threads(1);
    }
}

TEST(TransformerEncoder, ReadsInWindowsWhatMemoryDoesNotHold) {
    at::NoGradGuard const no_gradients;
    TransformerConfig const config{.hidden = 32, .layers = 1, .heads = 2};
    auto const encoder = [&](std::size_t memory) {
        return TransformerEncoder{{Transformer{config, 5}, std::nullopt, {}, "hash"}, {.memory = memory}};
    };
    Protein const protein{"long", "", std::string(600, 'A') + std::string(400, 'W')};
    auto roomy = encoder(std::size_t{1} << 30), tight = encoder(2 * 300 * 32 * 28); // 300 tokens in half of it
    EXPECT_EQ(roomy.windows(1000), 1U);
    EXPECT_EQ(tight.windows(1000), 5U);
    auto const whole = roomy.embed(std::span{&protein, 1}, {.rows = true})[0].rows,
               parts = tight.embed(std::span{&protein, 1}, {.rows = true})[0].rows;
    ASSERT_EQ(parts.rows(), 1000);
    EXPECT_GT((whole - parts).cwiseAbs().maxCoeff(), 1e-4); // a window sees less
    EXPECT_LT((whole - parts).cwiseAbs().maxCoeff(), 2.0);
}

TEST(TransformerEncoder, PairsAreSymmetricAndCorrectedToZeroRowSums) {
    auto const all = proteins();
    TransformerEncoder encoder{load_transformer(test::golden("transformer")), {}};
    auto const embedded = encoder.embed(all, {.pairs = true});
    auto const channels = static_cast<std::size_t>(encoder.pair_width());
    ASSERT_EQ(channels, 4U);
    for (std::size_t p = 0; p < all.size(); ++p) {
        std::size_t const length = all[p].residues.size();
        auto const& pairs = embedded[p].pairs;
        ASSERT_EQ(pairs.size(), length * length * channels);
        double size = 0;
        for (std::size_t i = 0; i < length; ++i)
            for (std::size_t c = 0; c < channels; ++c) {
                double sum = 0;
                for (std::size_t j = 0; j < length; ++j) {
                    float const value = pairs[(i * length + j) * channels + c];
                    EXPECT_FLOAT_EQ(value, pairs[(j * length + i) * channels + c]);
                    sum += value, size += std::abs(value);
                }
                EXPECT_NEAR(sum, 0, 1e-5);
            }
        EXPECT_TRUE(size > 0 || length == 1);
    }
}

TEST(TransformerEncoder, HashFollowsWeightsAndPrecision) {
    auto const loaded = [] { return load_transformer(test::golden("transformer")); };
    TransformerEncoder const a{loaded(), {}}, b{loaded(), {}}, c{loaded(), {.precision = at::kBFloat16}},
        d{load_transformer(test::golden("esm2_dialect")), {}};
    EXPECT_EQ(a.content_hash(), b.content_hash());
    EXPECT_NE(a.content_hash(), c.content_hash());
    EXPECT_NE(a.content_hash(), d.content_hash());
}

} // namespace
} // namespace tape
