// Foreign checkpoints: PyTorch's files, fair-esm's ESM-2, Hugging Face's pytorch_model.bin.
#include "data/error.hpp"
#include "data/npy.hpp"
#include "learn/checkpoint.hpp"
#include "learn/fair_esm.hpp"
#include "learn/transformer_encoder.hpp"

#include "tests/learn/encoder_agreement.hpp"
#include "tests/learn/learn_fixture.hpp"
#include <ATen/ops/arange.h>
#include <ATen/ops/equal.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <set>

namespace tape {
namespace {

std::filesystem::path checkpoint(std::string const& name) { return test::golden("checkpoints/" + name); }

/// The message of reading these bytes as a checkpoint, without the file's name; empty if it can be read.
std::string problem_of(std::string const& bytes) {
    test::Folder const folder;
    auto const file = folder / "x.pt";
    test::spill(file, bytes);
    try {
        TorchFile const read{file};
        double sum = 0; // every value is really there
        for (auto const& [name, tensor] : tensors_of(read)) sum += tensor.to(at::kDouble).abs().sum().item<double>();
        return sum < 0 ? "negative" : "";
    } catch (data_error const& problem) {
        return std::string{problem.what()}.substr(file.string().size());
    }
}

std::string replaced(std::string text, std::string const& from, std::string const& to) {
    std::size_t const at = text.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    return at == std::string::npos ? text : text.replace(at, from.size(), to);
}

class Containers : public ::testing::TestWithParam<char const*> {};

TEST_P(Containers, HoldWhatPyTorchWrote) {
    TorchFile const file{checkpoint(GetParam())};
    auto const tensors = tensors_of(file);
    at::Tensor const base = at::arange(24, at::kFloat).reshape({4, 6}) / 8;
    auto const same = [&](std::string const& name, at::Tensor const& expected, at::ScalarType type) {
        ASSERT_TRUE(tensors.contains(name)) << name;
        EXPECT_EQ(tensors.at(name).scalar_type(), type) << name;
        EXPECT_EQ(tensors.at(name).sizes(), expected.sizes()) << name;
        EXPECT_TRUE(at::equal(tensors.at(name).to(at::kDouble), expected.to(at::kDouble))) << name;
    };
    same("float32", base, at::kFloat), same("float16", base, at::kHalf), same("bfloat16", base, at::kBFloat16);
    same("float64", base, at::kDouble), same("int64", at::arange(5), at::kLong), same("int32", at::arange(5), at::kInt);
    same("uint8", at::arange(5), at::kByte), same("bool", at::arange(3).remainder(2).eq(0), at::kByte);
    same("transposed", base.t(), at::kFloat), same("column", base.select(1, 2), at::kFloat);
    same("tail", base.slice(0, 2), at::kFloat), same("scalar", base.select(0, 3).select(0, 2), at::kFloat);
    same("empty", base.slice(0, 0, 0).slice(1, 0, 3), at::kFloat);
    same("parameter", at::arange(2).ge(0).to(at::kFloat), at::kFloat);
    same("args.inner.x", at::arange(1).ge(0).to(at::kFloat), at::kFloat);
    EXPECT_EQ(tensors.size(), 15U);
    EXPECT_EQ(tensors.at("tail").storage().data(), tensors.at("float32").storage().data()) << "a shared storage";
    auto const& values = file.values();
    EXPECT_EQ(values.at("nested.step"), TorchFile::Value{7LL});
    EXPECT_EQ(values.at("nested.rate"), TorchFile::Value{0.5});
    EXPECT_EQ(values.at("nested.name"), TorchFile::Value{std::string{"adam"}});
    EXPECT_EQ(values.at("nested.on"), TorchFile::Value{true});
    EXPECT_EQ(values.at("args.layers"), TorchFile::Value{3LL});
    EXPECT_EQ(values.size(), 5U);
}

TEST_P(Containers, CutsAndNoiseAreRefusedOrRead) {
    std::string const whole = test::slurp(checkpoint(GetParam()));
    std::size_t const step = std::max<std::size_t>(1, whole.size() / 400);
    for (std::size_t cut = 0; cut < whole.size(); cut += step) EXPECT_NE(problem_of(whole.substr(0, cut)), "") << cut;
    std::mt19937 random{4};
    for (int i = 0; i < 400; ++i) {
        std::string noisy = whole;
        for (int k = 0; k < 2; ++k) noisy[random() % noisy.size()] = static_cast<char>(random());
        (void)problem_of(noisy); // a data_error or values: nothing else comes out of it
    }
}

INSTANTIATE_TEST_SUITE_P(TorchFile, Containers, ::testing::Values("containers.zip.pt", "containers.legacy.pt"));

/// A file of the form before 1.6 whose description is `pickle` (after protocol 2's header), with a float storage "0",
/// or none if that has no elements.
std::string legacy_file(std::string const& pickle, std::uint64_t elements = 4) {
    std::string const magic{"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.\x80\x02M\xe9\x03.", 21};
    std::string const system = std::string{"\x80\x02}X\x0d\x00\x00\x00little_endian\x88s.", 24};
    std::string count;
    for (int i = 0; i < 8; ++i) count += static_cast<char>(elements >> (8 * i) & 0xff);
    std::string const head = magic + system + "\x80\x02" + pickle + ".";
    if (elements == 0) return head + "\x80\x02].";
    return head +
           std::string{"\x80\x02]X\x01\x00\x00\x00"
                       "0a.",
                       11} +
           count + std::string(elements * 4, '\0');
}

std::string text(std::string const& value) {
    return std::string{"X"} + static_cast<char>(value.size()) + std::string(3, '\0') + value;
}

std::string number(int value) {
    std::string bytes = "J";
    for (int i = 0; i < 4; ++i) bytes += static_cast<char>(value >> (8 * i) & 0xff);
    return bytes;
}

/// A dictionary of one tensor "t" over storage "0", which it says has `elements` elements.
std::string tensor_pickle(int offset, std::vector<int> const& shape, std::vector<int> const& strides, int elements = 4,
                          std::string const& storage = "torch\nFloatStorage\n") {
    auto const tuple = [](std::vector<int> const& values) {
        std::string bytes = "(";
        for (int const value : values) bytes += number(value);
        return bytes + "t";
    };
    return "}" + text("t") + "ctorch._utils\n_rebuild_tensor_v2\n((" + text("storage") + "c" + storage + text("0") +
           text("cpu") + number(elements) + "NtQ" + number(offset) + tuple(shape) + tuple(strides) +
           "\x89"
           "ccollections\nOrderedDict\n)RtRs";
}

TEST(TorchFile, TensorsStayInsideTheirStorage) {
    auto const problem = [](auto const&... arguments) { return problem_of(legacy_file(tensor_pickle(arguments...))); };
    using Numbers = std::vector<int>;
    EXPECT_EQ(problem(0, Numbers{2, 2}, Numbers{2, 1}), "");
    EXPECT_EQ(problem(0, Numbers{2, 2}, Numbers{1, 2}), "");
    EXPECT_EQ(problem(3, Numbers{1}, Numbers{1}), "");
    EXPECT_EQ(problem(9, Numbers{0, 3}, Numbers{3, 1}), "") << "an empty tensor is nowhere";
    std::string const outside = ": tensor 't' reaches beyond its storage of 4 elements";
    EXPECT_EQ(problem(1, Numbers{2, 2}, Numbers{2, 1}), outside);
    EXPECT_EQ(problem(4, Numbers{}, Numbers{}), outside);
    EXPECT_EQ(problem(0, Numbers{2}, Numbers{4}), outside);
    EXPECT_EQ(problem(0, Numbers{5}, Numbers{0}), outside) << "one element many times over";
    EXPECT_EQ(problem(0, Numbers{3, 3}, Numbers{1, 1}), outside) << "rows that overlap";
    int const most = 2147483647;
    EXPECT_EQ(problem(0, Numbers{most, most, most}, Numbers{most, most, most}), outside);
    EXPECT_EQ(problem(0, Numbers{2}, Numbers{-1}), ": tensor 't' has an impossible shape");
    EXPECT_EQ(problem(-1, Numbers{2}, Numbers{1}), ": tensor 't' does not say where it begins");
    EXPECT_EQ(problem(0, Numbers{2}, Numbers{1, 1}), ": tensor 't' has a shape and strides of two ranks");
    EXPECT_EQ(problem(0, Numbers{2}, Numbers{1}, 5), ": storage '0' has 4 elements; its tensors expect 5");
    EXPECT_NE(problem(0, Numbers{2}, Numbers{1}, 4, std::string{"torch\nComplexFloatStorage\n"})
                  .find("it asks for 'torch.ComplexFloatStorage'"),
              std::string::npos);
    EXPECT_EQ(problem_of(legacy_file(tensor_pickle(0, {2}, {1}, 1 << 28), 4)),
              ": storage '0' has 4 elements; its tensors expect 268435456");
    std::string cut = legacy_file(tensor_pickle(0, {4}, {1}));
    cut.pop_back();
    EXPECT_EQ(problem_of(cut), ": storage '0' is truncated: 15 bytes for 4 elements");
}

TEST(TorchFile, NothingIsExecuted) {
    std::string const names[] = {"os\nsystem",
                                 "posix\nsystem",
                                 "builtins\neval",
                                 "torch._utils\n_rebuild_wrapper_subclass",
                                 "torch.storage\n_load_from_bytes",
                                 "torch.nn\nLinear",
                                 "numpy\nndarray"};
    for (auto const& name : names) {
        std::string const marker = (std::filesystem::temp_directory_path() / "tape-pwned").string();
        auto const problem = problem_of(legacy_file("c" + name + "\n(" + text("touch " + marker) + "tR"));
        std::string dotted = name;
        std::ranges::replace(dotted, '\n', '.');
        EXPECT_NE(problem.find("it asks for '" + dotted + "'; only tensors, dictionaries and plain values are read"),
                  std::string::npos)
            << problem;
        EXPECT_FALSE(std::filesystem::exists(marker));
    }
    // A known name does nothing that it was not meant for.
    EXPECT_EQ(problem_of(legacy_file("}" + text("t") + "ctorch\nFloatStorage\n)Rs", 0)),
              ": 't' is made by 'torch.FloatStorage'");
    EXPECT_EQ(problem_of(legacy_file("}" + text("t") + "ccollections\nOrderedDict\n(]tRs", 0)),
              ": OrderedDict 't' is made from something");
}

TEST(TorchFile, DictionariesInDictionariesDoNotUnfoldWithoutEnd) {
    std::string bomb = "}q" + std::string(1, '\0');
    for (int level = 1; level <= 12; ++level) {
        bomb += "}(";
        for (int i = 0; i < 8; ++i)
            bomb += text(std::string(1, static_cast<char>('a' + i))) + "h" + static_cast<char>(level - 1);
        bomb += "uq" + std::string(1, static_cast<char>(level));
    }
    EXPECT_NE(problem_of(legacy_file(bomb, 0)).find("unfolds to more than it holds"), std::string::npos);
    EXPECT_NE(problem_of(legacy_file("}q" + std::string(1, '\0') + text("x") + "h" + std::string(1, '\0') + "s", 0))
                  .find("unfolds"),
              std::string::npos)
        << "a dictionary inside itself";
}

TEST(TorchFile, SaysWhatIsWrongWithAnArchive) {
    EXPECT_EQ(problem_of("no checkpoint"),
              ": is no PyTorch checkpoint: neither a zip archive nor the form before version 1.6");
    std::string const whole = test::slurp(checkpoint("containers.zip.pt"));
    EXPECT_NE(problem_of(test::slurp(test::golden("transformer.npz"))).find("without data.pkl"), std::string::npos);
    EXPECT_NE(problem_of(replaced(whole, "little", "bigger")).find("fails its checksum"), std::string::npos);
}

TEST(FairEsm, AgreesWithTheOriginalProgram) {
    auto loaded = load_fair_esm(checkpoint("esm2_tiny.pt"));
    EXPECT_TRUE(loaded.unused.empty());
    EXPECT_TRUE(loaded.model.config().token_dropout);
    TransformerEncoder encoder{std::move(loaded), {}};
    ASSERT_TRUE(encoder.has_contact_head());
    test::expect_encoder_agrees(encoder, read_npz(checkpoint("esm2_tiny.npz")));
}

TEST(FairEsm, DoesWithoutContactsAndNamesWhatIsMissing) {
    test::Folder const folder;
    std::filesystem::copy_file(checkpoint("esm2_tiny.pt"), folder / "alone.pt");
    EXPECT_FALSE(load_fair_esm(folder / "alone.pt").contact_head.has_value());
    try {
        (void)load_fair_esm(checkpoint("containers.zip.pt"));
        FAIL() << "a checkpoint without a network was taken";
    } catch (data_error const& problem) {
        EXPECT_NE(
            std::string{problem.what()}.find("has no 'cfg.model.encoder_embed_dim'; expected an ESM-2 checkpoint"),
            std::string::npos);
    }
}

TEST(HuggingFace, BinShardsGiveTheSameNetworkAsSafetensors) {
    auto const bin = load_transformer(checkpoint("esm2_bin")), safe = load_transformer(test::golden("esm2_dialect"));
    EXPECT_TRUE(bin.unused.empty());
    auto const a = bin.model.state(), b = safe.model.state();
    ASSERT_EQ(a.size(), b.size());
    for (auto const& [name, tensor] : a) EXPECT_TRUE(tensor.equal(b.at(name))) << name;
    ASSERT_TRUE(bin.contact_head && safe.contact_head);
    EXPECT_TRUE(bin.contact_head->weight.equal(safe.contact_head->weight));
    EXPECT_NE(bin.content_hash, safe.content_hash);
}

TEST(EmbedProgram, ReadsForeignCheckpoints) {
    test::Folder const folder;
    test::spill(folder / "p.fasta", ">a\nMKTAYIAKQR\n");
    for (char const* const model : {"esm2_tiny.pt", "esm2_bin", "protbert", "tape_bert"}) {
        std::string const file = folder / "out.npz";
        auto const outcome = test::run_program(
            "tape-embed", {folder / "p.fasta", "--model", checkpoint(model), "--logits", "-o", file, "--threads", "1"});
        EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
        EXPECT_EQ(outcome.err, "") << model;
        EXPECT_EQ(read_npz(file).at("a").shape[0], 10U);
    }
    std::string hostile = test::slurp(checkpoint("esm2_bin/pytorch_model-00002-of-00002.bin"));
    std::filesystem::copy(checkpoint("esm2_bin"), folder / "bad");
    test::spill(folder / "bad" / "pytorch_model-00002-of-00002.bin",
                replaced(hostile, "ctorch._utils\n_rebuild_tensor_v2\n", "cos\nsystem\n"));
    auto const refused = test::run_program(
        "tape-embed", {folder / "p.fasta", "--model", folder / "bad", "-o", folder / "never.npz", "--threads", "1"});
    EXPECT_EQ(refused.exit_code, 3);
    EXPECT_NE(refused.err.find("it asks for 'os.system'"), std::string::npos) << refused.err;
}

} // namespace
} // namespace tape
