#include "data/error.hpp"
#include "learn/safetensors.hpp"

#include "tests/learn/learn_fixture.hpp"
#include <gtest/gtest.h>

#include <cstring>

namespace tape {
namespace {

std::string with_header(std::string const& header, std::size_t data_bytes, std::uint64_t claimed) {
    std::string bytes(8, '\0');
    for (int i = 0; i < 8; ++i) bytes[static_cast<std::size_t>(i)] = static_cast<char>(claimed >> (8 * i) & 0xff);
    return bytes + header + std::string(data_bytes, 'x');
}
std::string with_header(std::string const& header, std::size_t data_bytes) {
    return with_header(header, data_bytes, header.size());
}

/// What the reader says of these bytes; empty if it takes them.
std::string refusal(std::string const& bytes) {
    test::Folder const folder;
    test::spill(folder / "f.safetensors", bytes);
    try {
        SafetensorsFile const file{folder / "f.safetensors"};
        return {};
    } catch (error const& problem) {
        EXPECT_EQ(problem.code(), exit_code::bad_data);
        return problem.what();
    }
}

std::string tensor(std::string const& name, std::string const& type, std::string const& shape,
                   std::string const& offsets) {
    return "\"" + name + "\":{\"dtype\":\"" + type + "\",\"shape\":" + shape + ",\"data_offsets\":" + offsets + "}";
}

TEST(Safetensors, RoundTripsEveryTypeAndItsMetadata) {
    std::vector<std::byte> bytes(64);
    for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(i * 37);
    std::map<std::string, TensorView> tensors;
    for (auto const type : {TensorType::f64, TensorType::f32, TensorType::f16, TensorType::bf16, TensorType::i64,
                            TensorType::i32, TensorType::u8})
        tensors[std::string{name_of(type)}] = {type, {3, 1}, std::span{bytes}.first(3 * bytes_per_element(type))};
    tensors["empty"] = {TensorType::f32, {0, 5}, {}};
    tensors["scalar"] = {TensorType::f32, {}, std::span{bytes}.first(4)};
    test::Folder const folder;
    write_safetensors(folder / "a.safetensors", tensors, {{"format", "pt"}});
    SafetensorsFile const file{folder / "a.safetensors"};
    EXPECT_EQ(file.metadata().at("format"), "pt");
    ASSERT_EQ(file.tensors().size(), tensors.size());
    for (auto const& [name, view] : tensors) {
        auto const& read = file.tensors().at(name);
        EXPECT_EQ(read.type, view.type) << name;
        EXPECT_EQ(read.shape, view.shape) << name;
        ASSERT_EQ(read.bytes.size(), view.bytes.size()) << name;
        EXPECT_TRUE(view.bytes.empty() || std::memcmp(read.bytes.data(), view.bytes.data(), view.bytes.size()) == 0)
            << name;
    }
}

TEST(Safetensors, TakesAMinimalFile) {
    EXPECT_EQ(refusal(with_header("{" + tensor("a", "F32", "[1]", "[0,4]") + "}", 4)), "");
}

TEST(Safetensors, RefusesHostileHeadersAndSaysWhy) {
    struct Case {
        std::string bytes, reason;
    };
    std::string const a = tensor("a", "F32", "[2]", "[0,8]");
    std::vector<Case> const cases{
        {"", "only 0 bytes"},
        {"1234567", "only 7 bytes"},
        {with_header("{" + a + "}", 8, UINT64_MAX), "claims 18446744073709551615 bytes"},
        {with_header("{" + a + "}", 8, 1'000'000), "claims 1000000 bytes"},
        {with_header("", 0), "does not start with '{'"},
        {with_header("[" + a + "]", 8), "does not start with '{'"},
        {with_header("{" + a, 8), "no valid JSON"},
        {with_header("{\"\xff\xfe\":{}}", 0), "no valid JSON"},
        {with_header("{" + a + "}", 7), "truncated"},
        {with_header("{" + a + "}", 9), "belong to none"},
        {with_header("{" + a + "," + tensor("b", "F32", "[2]", "[4,12]") + "}", 12), "overlap"},
        {with_header("{" + a + "," + tensor("b", "F32", "[1]", "[12,16]") + "}", 16), "no tensor owns"},
        {with_header("{" + a + "," + a + "}", 8), "names 'a' twice"},
        {with_header("{" + tensor("a", "F32", "[3]", "[0,8]") + "}", 8), "does not match"},
        {with_header("{" + tensor("a", "F32", "[2]", "[8,0]") + "}", 8), "spans bytes"},
        {with_header("{" + tensor("a", "F32", "[2]", "[0,8,9]") + "}", 8), "more than two offsets"},
        {with_header("{" + tensor("a", "F32", "[2]", "[0]") + "}", 8), "lacks its"},
        {with_header("{" + tensor("a", "O", "[2]", "[0,8]") + "}", 8), "not supported"},
        {with_header("{" + tensor("a", "F32", "[-2]", "[0,8]") + "}", 8), "unexpected value"},
        {with_header("{" + tensor("a", "F32", "[2.0]", "[0,8]") + "}", 8), "unexpected value"},
        {with_header("{" + tensor("a", "F32", "[4294967296,4294967296]", "[0,0]") + "}", 0), "does not match"},
        {with_header("{" + tensor("a", "F32", "[18446744073709551615]", "[0,8]") + "}", 8), "impossible shape"},
        {with_header("{" + tensor("a", "F32", "[1,1,1,1,1,1,1,1,2]", "[0,8]") + "}", 8), "impossible shape"},
        {with_header("{\"a\":{\"dtype\":\"F32\"}}", 0), "lacks its"},
        {with_header("{\"a\":{\"shape\":{\"b\":{}}}}", 0), "nested"},
        {with_header("{\"a\":" + std::string(100'000, '['), 0), "unexpected value"},
        {with_header("{\"a\":{\"code\":\"os.system\"}}", 0), "unknown field"},
        {with_header("{\"a\":null}", 0), "unexpected value"},
        {with_header("{\"__metadata__\":{\"k\":1}}", 0), "unexpected value"},
    };
    for (auto const& [bytes, reason] : cases) {
        std::string const said = refusal(bytes);
        EXPECT_NE(said.find(reason), std::string::npos) << "expected '" << reason << "', got '" << said << "'";
        EXPECT_NE(said.find("f.safetensors"), std::string::npos);
    }
}

TEST(Safetensors, RefusesEveryTruncation) {
    std::string const whole = test::slurp(test::golden("transformer/model.safetensors"));
    ASSERT_EQ(refusal(whole), "");
    for (std::size_t size = 0; size < whole.size(); size += 509) EXPECT_NE(refusal(whole.substr(0, size)), "") << size;
}

} // namespace
} // namespace tape
