#include "align/profile.hpp"
#include "data/error.hpp"
#include "features/alignment_features.hpp"
#include "learn/masked_language.hpp"
#include "learn/next_token.hpp"
#include "learn/objective.hpp"
#include "learn/profile_prediction.hpp"

#include "tests/learn/learn_fixture.hpp"
#include <gtest/gtest.h>

#include <cmath>
#include <sstream>

namespace tape {
namespace {

Window whole(std::string_view protein) { return {protein, 0, EsmTokenizer::wrapped(protein)}; }

TEST(MaskedLanguage, CorruptsAsPublished) {
    Random random{5};
    std::vector<std::string> proteins;
    for (int i = 0; i < 400; ++i) {
        proteins.emplace_back("XBZUO");
        for (int j = 0; j < 500; ++j) proteins.back() += "ACDEFGHIKLMNPQRSTVWY"[random.below(20)];
    }
    std::vector<Window> windows;
    for (auto const& protein : proteins) windows.push_back(whole(protein));
    std::int64_t chosen = 0, masked = 0, replaced = 0, kept = 0, changed = 0;
    auto const batch = pose(MaskedLanguage{{}}, windows, Random{9});
    for (std::size_t i = 0; i < windows.size(); ++i) {
        auto const& before = windows[i].tokens;
        auto const& example = batch[i];
        for (std::size_t m = 0; m < example.letters.size(); ++m, ++chosen) {
            auto const place = static_cast<std::size_t>(example.letter_places[m]);
            ASSERT_EQ(example.letters[m], before[place]);
            ASSERT_TRUE(EsmTokenizer::is_amino_acid(before[place]));
            auto const now = example.tokens[place];
            (now == EsmTokenizer::mask ? masked : now == before[place] ? kept : replaced) += 1;
            if (now != EsmTokenizer::mask) {
                ASSERT_TRUE(EsmTokenizer::is_amino_acid(now));
            }
        }
        for (std::size_t j = 0; j < before.size(); ++j) changed += example.tokens[j] != before[j];
    }
    // Five standard deviations of a binomial.
    auto const near = [](std::int64_t count, std::int64_t of, double share) {
        double const n = static_cast<double>(of);
        EXPECT_NEAR(static_cast<double>(count), n * share, 5 * std::sqrt(n * share * (1 - share)));
    };
    near(chosen, 200000, 0.15), near(masked, chosen, 0.8), near(replaced, chosen, 0.1), near(kept, chosen, 0.1);
    EXPECT_EQ(changed, masked + replaced); // nothing but the chosen places
}

TEST(MaskedLanguage, AsksForOneResidueAtLeast) {
    Random random{2};
    for (int i = 0; i < 100; ++i) {
        std::vector<Window> const windows{whole("XMX")};
        auto const example = pose(MaskedLanguage{{}}, windows, Random{random.next()}).front();
        EXPECT_EQ(example.letter_places, std::vector<std::int64_t>{2});
        EXPECT_EQ(example.letters, std::vector<std::int64_t>{EsmTokenizer::token('M')});
    }
    std::vector<Window> const none{whole("XXX")};
    EXPECT_TRUE(pose(MaskedLanguage{{}}, none, Random{1}).front().letters.empty());
}

TEST(NextToken, AsksForEachAminoAcidFromTheOneBefore) {
    std::vector<Window> const windows{whole("MAXK"), {"GGMAGG", 2, EsmTokenizer::residues("MA")}};
    auto const batch = pose(NextToken{}, windows, Random{1});
    auto const token = [](char letter) { return static_cast<std::int64_t>(EsmTokenizer::token(letter)); };
    EXPECT_EQ(batch[0].tokens, windows[0].tokens);
    EXPECT_EQ(batch[0].letter_places, (std::vector<std::int64_t>{0, 1, 3})); // <cls> M A X K <eos>
    EXPECT_EQ(batch[0].letters, (std::vector<std::int64_t>{token('M'), token('A'), token('K')}));
    EXPECT_EQ(batch[1].letter_places, std::vector<std::int64_t>{0});
    EXPECT_EQ(batch[1].letters, std::vector<std::int64_t>{token('A')});
}

TransformerConfig small_network(bool causal = false) {
    return {.hidden = 16, .layers = 2, .heads = 2, .causal = causal};
}

TEST(CausalTransformer, LooksBackOnly) {
    Transformer const model{small_network(true), 3}, both_ways{small_network(), 3};
    auto const hidden = [](Transformer const& network, std::vector<std::string> const& proteins) {
        std::vector<std::vector<std::int64_t>> rows;
        for (auto const& protein : proteins) rows.push_back(EsmTokenizer::wrapped(protein));
        return network.forward(TokenBatch::from(rows, at::kCPU)).hidden;
    };
    auto const alone = hidden(model, {"MKTAYIAKQR"})[0];
    auto const other = hidden(model, {"MKTAYWWWWW", "MKTAYWWWWWGGGGGGGG"}); // padded
    auto const difference = [](at::Tensor const& a, at::Tensor const& b) { return (a - b).abs().max().item<float>(); };
    EXPECT_LT(difference(alone.slice(0, 0, 6), other[0].slice(0, 0, 6)), 1e-6);
    EXPECT_LT(difference(other[0].slice(0, 0, 11), other[1].slice(0, 0, 11)), 1e-6);
    EXPECT_GT(difference(alone[6], other[0][6]), 1e-3);
    EXPECT_GT(difference(hidden(both_ways, {"MKTAYIAKQR"})[0][1], hidden(both_ways, {"MKTAYWWWWW"})[0][1]), 1e-3);
    // The same with gradients, where attention takes another path.
    Transformer training{small_network(true), 3};
    training.require_gradients();
    EXPECT_LT(difference(hidden(training, {"MKTAYIAKQR"})[0], alone), 1e-6);
}

class Profiles : public ::testing::Test {
  protected:
    Msa alignment(std::string const& text) {
        std::istringstream in{text};
        return read_msa(in, "test.a3m");
    }
    void write(std::string const& name, Msa const& msa) {
        write_alignment_features(folder / (name + ".features.npz"), alignment_features(msa));
    }
    test::Folder folder;
};

TEST_F(Profiles, AreTheFrequenciesOfColumnsWithHomologs) {
    auto const msa = alignment(">q\nMKTAYIAXQR\n>a\n-KSAYI-A--\n>b\n-RTGYI-A--\n");
    write("b", msa), write("c", alignment(">alone\nGGGGG\n"));
    ProfileTargets const targets{folder.path()};
    EXPECT_EQ(targets.size(), 1U);
    EXPECT_FALSE(targets.has("GGGGG"));
    EXPECT_FALSE(targets.has("MKTAYIAKQR"));
    ASSERT_TRUE(targets.has("MKTAYIAUQR")); // an unknown residue by another letter
    auto const profile = make_profile(msa);
    auto const columns = targets.columns("MKTAYIAXQR", 0, 10);
    for (std::size_t c = 0; c < 10; ++c) {
        EXPECT_EQ(columns[c].known, (c >= 1 && c <= 5) || c == 7) << c; // elsewhere the query stands alone
        for (std::size_t a = 0; columns[c].known && a < 20; ++a)
            EXPECT_NEAR(columns[c].frequencies[a],
                        profile.frequencies(static_cast<Eigen::Index>(c), static_cast<Eigen::Index>(a)), 2e-5);
    }
    // A window from inside the protein: its places, the right columns.
    ProfilePrediction const objective{std::make_shared<ProfileTargets>(folder.path())};
    EXPECT_TRUE(objective.knows("MKTAYIAXQR"));
    EXPECT_FALSE(objective.knows("GGGGG"));
    std::vector<Window> const windows{
        {"MKTAYIAXQR", 4, EsmTokenizer::residues("YIAX")}, whole("MKTAYIAXQR"), whole("GGGGG")};
    auto const batch = pose(objective, windows, Random{1});
    EXPECT_EQ(batch[0].column_places, (std::vector<std::int64_t>{0, 1, 3}));
    EXPECT_EQ(batch[0].frequencies[0], columns[4].frequencies[0]);
    EXPECT_EQ(batch[0].frequencies[40], columns[7].frequencies[0]);
    EXPECT_EQ(batch[1].column_places, (std::vector<std::int64_t>{2, 3, 4, 5, 6, 8}));
    EXPECT_EQ(batch[1].tokens, windows[1].tokens);
    EXPECT_TRUE(batch[2].column_places.empty());
}

TEST_F(Profiles, AreSharedByTheHomologsOfAnAlignment) {
    std::string const query = "MKTAYIAKQRGGHEDLLVWCPNSTRAEFIKLM";
    //                 an insertion of WW behind column 6, two gaps, and residues of the protein on both sides of the
    //                 row
    std::string const row = "MRTAYIwwAKQRGGHE--LVWCPNSTRAEFI---";
    std::string const protein = "GGGGMRTAYIWWAKQRGGHELVWCPNSTRAEFIPPPP";
    auto const near = alignment(">q\n" + query + "\n>h/1-30 E=1\n" + row + "\n");
    // The same protein in another alignment, with fewer residues in common.
    auto const far = alignment(">r\nMRTAYLLLKQRGGHELLLLC\n>h/1-30\nMRTAYIwwAKQRGGHE------\n");
    for (auto const& [name, msa] : {std::pair{"a", &far}, {"b", &near}}) {
        write(name, *msa);
        std::ostringstream text;
        write_msa(text, *msa, MsaFormat::a3m);
        test::spill(folder / (std::string{name} + ".a3m"), text.str());
    }
    ProfileTargets const targets{folder.path()};
    EXPECT_EQ(targets.size(), 2U);
    EXPECT_EQ(targets.homologs(), 1U);
    ASSERT_TRUE(targets.has(protein));
    EXPECT_FALSE(targets.has(protein.substr(5)));
    auto const own = targets.columns(query, 0, query.size()), shared = targets.columns(protein, 0, protein.size());
    std::size_t column = 0, place = 4;
    for (char const letter : row) {
        if (letter == '-') {
            ++column;
        } else if (letter == 'w') {
            EXPECT_FALSE(shared[place++].known);
        } else {
            ASSERT_TRUE(shared[place].known) << place;
            EXPECT_EQ(shared[place++].frequencies, own[column++].frequencies);
        }
    }
    for (std::size_t i : {0, 1, 2, 3, 33, 34, 35, 36}) EXPECT_FALSE(shared[i].known) << i;
    auto const window = targets.columns(protein, 3, 4);
    EXPECT_FALSE(window[0].known);
    EXPECT_EQ(window[1].frequencies, own[0].frequencies);
    // An alignment with more columns than the features, or of another protein, would point to the columns of others.
    for (std::string const other :
         {">q\n" + query + "W\n>h\n" + query + "W\n", ">q\nW" + query.substr(1) + "\n>h\n" + query + "\n"}) {
        test::spill(folder / "b.a3m", other);
        try {
            ProfileTargets const wrong{folder.path()};
            ADD_FAILURE() << other;
        } catch (data_error const& problem) {
            EXPECT_NE(std::string{problem.what()}.find("b.a3m: its query is not that of the features file"),
                      std::string::npos);
        }
    }
}

TEST_F(Profiles, SayWhatIsWrong) {
    auto const message = [&]() -> std::string {
        try {
            ProfileTargets const targets{folder.path()};
        } catch (data_error const& problem) {
            return problem.what();
        }
        return "nothing";
    };
    EXPECT_NE(message().find("no *.features.npz"), std::string::npos) << message();
    write("alone", alignment(">alone\nGGGGG\n"));
    EXPECT_NE(message().find("none of the 1 alignments"), std::string::npos) << message();
    auto features = alignment_features(alignment(">q\nMK\n>a\nMR\n"));
    std::erase_if(features, [](auto const& feature) { return feature.first == "weights"; });
    write_alignment_features(folder / "b.features.npz", features);
    EXPECT_NE(message().find("b.features.npz: no array 'weights'"), std::string::npos) << message();
    features = alignment_features(alignment(">q\nMK\n>a\nMR\n"));
    std::vector<float> const wrong(40, 0.5F);
    for (auto& [name, array] : features)
        if (name == "frequencies") array = Array::from<float>(std::span{wrong}, {2, 20});
    write_alignment_features(folder / "b.features.npz", features);
    EXPECT_NE(message().find("frequencies of column 1 do not sum to 1"), std::string::npos) << message();
    test::spill(folder / "b.features.npz", "nothing of the kind");
    EXPECT_NE(message().find("b.features.npz"), std::string::npos) << message();
}

TEST_F(Profiles, ObjectivesSayWhatTheyNeed) {
    write("a", alignment(">q\nMK\n>a\nMR\n"));
    auto const targets = std::make_shared<ProfileTargets const>(folder.path());
    EXPECT_THROW((void)make_objective("profile", {}), usage_error);
    EXPECT_THROW((void)make_objective("mlm", targets), usage_error);
    EXPECT_THROW((void)make_objective("bert", {}), usage_error);
    for (auto const& name : objective_names())
        EXPECT_EQ(make_objective(name, name.find("profile") == std::string::npos ? nullptr : targets)->causal(),
                  name == "next");
}

/// Both kinds of questions, for the arithmetic.
std::vector<Exercise> mixed_batch(std::size_t count, Random random) {
    std::vector<Exercise> batch;
    for (std::size_t i = 0; i < count; ++i) {
        Exercise example;
        std::string protein;
        for (std::size_t j = 3 + random.below(20); j > 0; --j) protein += "ACDEFGHIKLMNPQRSTVWY"[random.below(20)];
        example.tokens = EsmTokenizer::wrapped(protein);
        for (std::size_t place = 0; place < example.tokens.size(); ++place) {
            if (random.uniform() < 0.3) {
                example.letter_places.push_back(static_cast<std::int64_t>(place));
                example.letters.push_back(static_cast<std::int64_t>(4 + random.below(20)));
            }
            if (random.uniform() < 0.5) {
                example.column_places.push_back(static_cast<std::int64_t>(place));
                std::vector<float> values(20);
                float sum = 0;
                for (auto& value : values) value = static_cast<float>(random.uniform()), sum += value;
                for (auto& value : values) value /= sum;
                example.frequencies.insert(example.frequencies.end(), values.begin(), values.end());
            }
        }
        batch.push_back(std::move(example));
    }
    return batch;
}

TEST(Answer, IsTheCrossEntropyOfLettersAndColumns) {
    Transformer const model{small_network(), 4};
    auto const batch = mixed_batch(6, Random{8});
    double letters = 0, columns = 0, right = 0;
    for (auto const& example : batch) {
        auto const hidden = model.forward(TokenBatch::from({example.tokens}, at::kCPU)).hidden[0];
        auto const logits = model.logits(hidden).to(at::kDouble); // T x 33
        auto const log_probability = [&](std::int64_t place, std::int64_t token) {
            double sum = 0;
            for (int t = 0; t < 33; ++t) sum += std::exp(logits[place][t].item<double>());
            return logits[place][token].item<double>() - std::log(sum);
        };
        for (std::size_t m = 0; m < example.letters.size(); ++m) {
            letters -= log_probability(example.letter_places[m], example.letters[m]);
            right += logits[example.letter_places[m]].argmax().item<std::int64_t>() == example.letters[m];
        }
        for (std::size_t m = 0; m < example.column_places.size(); ++m)
            for (std::size_t a = 0; a < 20; ++a)
                columns -= static_cast<double>(example.frequencies[20 * m + a]) *
                           log_probability(example.column_places[m], EsmTokenizer::token("ACDEFGHIKLMNPQRSTVWY"[a]));
    }
    auto const score = answer(model, batch, 1, 1, at::kCPU);
    EXPECT_NEAR(score.letters.loss, letters, 1e-4 * letters);
    EXPECT_NEAR(score.columns.loss, columns, 1e-4 * columns);
    EXPECT_EQ(score.letters.right, right);
    EXPECT_NEAR(score.loss(), letters / score.letters.places + columns / score.columns.places, 1e-4);
}

TEST(Answer, PartsOfABatchAddUpToItsGradient) {
    auto const batch = mixed_batch(9, Random{8});
    std::int64_t letters = 0, columns = 0;
    for (auto const& example : batch)
        letters += std::ssize(example.letters), columns += std::ssize(example.column_places);
    auto const gradients = [&](std::size_t parts) {
        Transformer model{small_network(), 4};
        model.require_gradients();
        Score score;
        for (std::size_t part = 0; part < parts; ++part)
            score += answer(model, part_of(batch, part, parts), letters, columns, at::kCPU);
        EXPECT_EQ(score.letters.places, static_cast<double>(letters));
        EXPECT_EQ(score.columns.places, static_cast<double>(columns));
        std::vector<at::Tensor> all;
        for (auto const& parameter : model.parameters()) all.push_back(parameter.value.grad());
        return all;
    };
    auto const whole = gradients(1);
    for (std::size_t const parts : {2, 3, 4, 20}) {
        auto const sum = gradients(parts);
        for (std::size_t i = 0; i < sum.size(); ++i)
            EXPECT_LT((sum[i] - whole[i]).abs().max().item<float>(), 1e-6) << parts << " " << i;
    }
    EXPECT_GT(whole[0].abs().max().item<float>(), 1e-3);
}

TEST(PartOf, EveryExampleIsInOnePart) {
    Random random{1};
    for (int round = 0; round < 200; ++round) {
        std::vector<Exercise> examples(random.below(12));
        for (auto& example : examples) example.tokens.resize(1 + random.below(30));
        std::size_t const parts = 1 + random.below(6);
        std::size_t next = 0;
        for (std::size_t part = 0; part < parts; ++part) {
            auto const share = part_of(examples, part, parts);
            if (!share.empty()) {
                ASSERT_EQ(share.data(), examples.data() + next);
            }
            next += share.size();
        }
        ASSERT_EQ(next, examples.size());
    }
}

} // namespace
} // namespace tape
