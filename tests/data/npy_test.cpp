#include "data/io.hpp"
#include "data/npy.hpp"
#include "data/zip.hpp"

#include "tests/data/scratch.hpp"

#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>
#include <random>

namespace tape {
namespace {

/// What tests/golden/make_data_goldens.py wrote, in doubles, C order.
std::map<std::string, std::vector<double>> const& expected_values() {
    static auto const values = [] {
        double const infinity = std::numeric_limits<double>::infinity();
        std::vector<double> ramp(24), eighths(24), shifted(24);
        for (std::size_t i = 0; i < 24; ++i)
            ramp[i] = static_cast<double>(i), eighths[i] = ramp[i] / 8, shifted[i] = ramp[i] - 12;
        return std::map<std::string, std::vector<double>>{
            {"f4", eighths},
            {"f8", eighths},
            {"f2", {0, -0.0, 1, -2.5, 65504, std::ldexp(1.0, -24), infinity, -infinity}},
            {"i1", {-128, 127}},
            {"i2", {-32768, 32767}},
            {"i4", ramp},
            {"i8", shifted},
            {"u1", {0, 255}},
            {"u2", {0, 65535}},
            {"u4", {0, 4294967295}},
            {"u8", {0, std::ldexp(1.0, 63)}},
            {"b1", {1, 0, 1}},
            {"fortran", ramp},
            {"scalar", {2.5}},
            {"empty", {}}};
    }();
    return values;
}

void expect_golden(std::string const& name, Array const& array) {
    EXPECT_EQ(to_doubles(array), expected_values().at(name)) << name;
    std::size_t const size =
        std::accumulate(array.shape.begin(), array.shape.end(), std::size_t{1}, std::multiplies<>{});
    EXPECT_EQ(array.size(), size) << name;
}

TEST(Npy, ReadsWhatNumpyWrote) {
    for (auto const& [name, values] : expected_values()) expect_golden(name, read_npy(test::golden(name + ".npy")));
    EXPECT_EQ(read_npy(test::golden("f4.npy")).shape, (std::vector<std::size_t>{2, 3, 4}));
    EXPECT_EQ(read_npy(test::golden("fortran.npy")).shape, (std::vector<std::size_t>{2, 3, 4}));
    EXPECT_TRUE(read_npy(test::golden("scalar.npy")).shape.empty());
    EXPECT_EQ(read_npy(test::golden("empty.npy")).shape, (std::vector<std::size_t>{0, 5}));
    EXPECT_TRUE(std::signbit(read_npy(test::golden("f2.npy")).as<float>()[1]));
}

TEST(Npy, ReadsStoredAndDeflatedArchives) {
    for (auto const* const archive : {"stored.npz", "deflated.npz"}) {
        auto const arrays = read_npz(test::golden(archive));
        EXPECT_EQ(arrays.size(), expected_values().size());
        for (auto const& [name, array] : arrays) expect_golden(name, array);
    }
}

class NpyFiles : public test::Scratch {
  protected:
    /// An .npy file with the given header text and body.
    std::filesystem::path npy(std::string header, std::string const& body,
                              std::string const& version = {"\x01\x00", 2}) const {
        std::string const length{static_cast<char>(header.size() & 255), static_cast<char>(header.size() >> 8)};
        return file("x.npy", "\x93NUMPY" + version + length + header + body);
    }
    std::string refusal(std::filesystem::path const& path) const {
        auto const outcome = test::outcome_of([&path] { read_npy(path); });
        EXPECT_EQ(outcome.code, exit_code::bad_data) << outcome.message;
        EXPECT_EQ(outcome.message.find(path.string()), 0u) << outcome.message;
        return outcome.message;
    }
};

TEST_F(NpyFiles, WritesTheBytesNumpyWrites) {
    for (auto const* const name : {"f4", "f8", "i4", "i8", "u1", "scalar", "empty"}) {
        write_npy(directory / "x.npy", read_npy(test::golden(std::string{name} + ".npy")));
        EXPECT_EQ(test::bytes_of(directory / "x.npy"), test::bytes_of(test::golden(std::string{name} + ".npy")))
            << name;
    }
}

TEST_F(NpyFiles, RandomArraysRoundTrip) {
    std::mt19937 random{5};
    NpzWriter writer{directory / "x.npz"};
    std::map<std::string, Array> written;
    for (int i = 0; i < 50; ++i) {
        std::vector<std::size_t> shape(random() % 4);
        std::size_t size = 1;
        for (std::size_t& extent : shape) size *= extent = random() % 7;
        std::vector<double> values(size);
        for (double& value : values) value = static_cast<double>(random());
        Array array = Array::from<double>(values, shape);
        writer.add("array " + std::to_string(i), array);
        written.emplace("array " + std::to_string(i), std::move(array));
    }
    EXPECT_FALSE(std::filesystem::exists(directory / "x.npz"));
    writer.close();
    auto const arrays = read_npz(directory / "x.npz");
    ASSERT_EQ(arrays.size(), written.size());
    for (auto const& [name, array] : written) {
        EXPECT_EQ(arrays.at(name).shape, array.shape);
        EXPECT_EQ(arrays.at(name).bytes, array.bytes);
    }
}

TEST_F(NpyFiles, AnArchiveIsAtomicAndItsNamesUnique) {
    std::vector<float> const one{1};
    {
        NpzWriter writer{directory / "x.npz"};
        writer.add("a", Array::from<float>(one, {1}));
        EXPECT_EQ(test::outcome_of([&] { writer.add("a", Array::from<float>(one, {1})); }).message,
                  "zip member 'a.npy' was added twice");
    }
    EXPECT_EQ(files_left(), 0u);
}

TEST_F(NpyFiles, AnArchiveHasTheSameBytesEveryTime) {
    std::vector<float> const values{1, 2, 3};
    for (auto const* const name : {"a.npz", "b.npz"}) {
        NpzWriter writer{directory / name};
        writer.add("x", Array::from<float>(values, {3}));
        writer.close();
    }
    EXPECT_EQ(test::bytes_of(directory / "a.npz"), test::bytes_of(directory / "b.npz"));
}

TEST_F(NpyFiles, TypesAndShapesAreChecked) {
    std::vector<float> const values{1, 2, 3};
    EXPECT_EQ(test::outcome_of([&] {
                  Array::from<float>(values, {2, 2});
              }).message,
              "array holds 12 bytes, which its shape does not ask for");
    EXPECT_EQ(test::outcome_of([&] { static_cast<void>(Array::from<float>(values, {3}).as<double>()); }).message,
              "array of type <f4 asked for as <f8");
}

TEST_F(NpyFiles, HostileHeadersAreRefused) {
    std::string const body(16, '\0');
    auto const header = [](std::string const& descr, std::string const& shape) {
        return "{'descr': '" + descr + "', 'fortran_order': False, 'shape': " + shape + ", }\n";
    };
    EXPECT_NE(refusal(npy(header("<f4", "(5,)"), body)).find("claims 20 bytes of values but holds 16"),
              std::string::npos);
    EXPECT_NE(refusal(npy(header("<f4", "(3,)"), body)).find("claims 12 bytes of values but holds 16"),
              std::string::npos);
    EXPECT_NE(refusal(npy(header("<f4", "(1000000000000,)"), body)).find("claims 4000000000000"), std::string::npos);
    EXPECT_NE(refusal(npy(header("<f4", "(4294967296, 4294967296)"), body)).find("more than 2^64"), std::string::npos);
    EXPECT_NE(refusal(npy(header("<f4", "(99999999999999999999999,)"), body)).find("malformed .npy header"),
              std::string::npos);
    EXPECT_NE(refusal(npy(header("<f4", "(-4,)"), body)).find("malformed"), std::string::npos);
    EXPECT_NE(refusal(npy(header("<f4", "(4"), body)).find("malformed"), std::string::npos);
    EXPECT_NE(refusal(npy(header("<c8", "(2,)"), body)).find("type '<c8' cannot be read"), std::string::npos);
    EXPECT_NE(
        refusal(npy("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (4,), }\n", body)).find("malformed"),
        std::string::npos);
    EXPECT_NE(refusal(npy("{'descr': '<f4', 'shape': (4,), }\n", body)).find("malformed"), std::string::npos);
    EXPECT_NE(refusal(npy("__import__('os').system('true')", body)).find("malformed"), std::string::npos);
    EXPECT_NE(refusal(npy(header("<f4", "(4,)"), body, {"\x09\x00", 2})).find("version 9"), std::string::npos);
    EXPECT_NE(refusal(file("x.npy", std::string{"\x93NUMPY\x01\x00\xff\xff{", 11})).find("truncated .npy header"),
              std::string::npos);
    EXPECT_NE(refusal(file("x.npy", "PK")).find("no .npy file"), std::string::npos);
    EXPECT_NE(refusal(test::golden("big_endian.npy")).find("big endian"), std::string::npos);
    EXPECT_NE(refusal(test::golden("objects.npy")).find("Python objects, which are never executed here"),
              std::string::npos);
}

TEST_F(NpyFiles, EveryCutAndEveryFlippedByteOfAnArchiveIsFound) {
    std::string const whole = test::bytes_of(test::golden("deflated.npz"));
    auto const expected = read_npz(test::golden("deflated.npz"));
    for (std::size_t cut = 0; cut < whole.size(); cut += 7) {
        auto const path = file("cut.npz", whole.substr(0, cut));
        ASSERT_EQ(test::outcome_of([&path] { read_npz(path); }).code, exit_code::bad_data) << cut;
    }
    // A flipped byte is an error, or it hit something without meaning (a date, say) and the arrays are the same.
    for (std::size_t at = 0; at < whole.size(); ++at) {
        std::string flipped = whole;
        flipped[at] = static_cast<char>(flipped[at] ^ 0x41);
        auto const path = file("flipped.npz", flipped);
        std::map<std::string, Array> arrays;
        if (test::outcome_of([&] { arrays = read_npz(path); }).code != exit_code::done) continue;
        std::size_t same = 0;
        for (auto const& [name, array] : arrays) {
            auto const original = expected.find(name);
            same += original != expected.end() && original->second.bytes == array.bytes &&
                    original->second.shape == array.shape;
        }
        ASSERT_GE(same + 1, expected.size()) << at; // a flipped byte in a name renames one array
    }
}

TEST_F(NpyFiles, AZipBombIsRefusedBeforeItIsUnpacked) {
    // A directory entry that claims 4 GB from a few bytes.
    std::string bytes = test::bytes_of(test::golden("deflated.npz"));
    std::size_t const entry = bytes.find("PK\x01\x02");
    std::string const huge{"\xf0\xff\xff\xff", 4};
    bytes.replace(entry + 24, 4, huge);
    auto const path = file("bomb.npz", bytes);
    auto const outcome = test::outcome_of([&path] { read_npz(path); });
    EXPECT_NE(outcome.message.find("claims 4294967280 bytes from"), std::string::npos) << outcome.message;
}

} // namespace
} // namespace tape
