#include "data/error.hpp"

#include <gtest/gtest.h>

#include <random>

namespace tape {
namespace {

/// The definition, exponential time: the reference for the table form.
std::size_t slow_distance(std::string_view a, std::string_view b) {
    if (a.empty()) return b.size();
    if (b.empty()) return a.size();
    return std::min({slow_distance(a.substr(1), b) + 1, slow_distance(a, b.substr(1)) + 1,
                     slow_distance(a.substr(1), b.substr(1)) + (a[0] != b[0])});
}

template <typename Inner> std::string wrapped_description(Inner const& inner, exit_code& code) {
    try {
        try {
            throw inner;
        } catch (...) {
            std::throw_with_nested(error{"outer"});
        }
    } catch (std::exception const& problem) {
        code = exit_code_of(problem);
        return describe(problem);
    }
    return "";
}

TEST(Error, InnermostErrorDecidesTheExitCode) {
    exit_code code{};
    EXPECT_EQ(wrapped_description(data_error{"inner"}, code), "outer\n  caused by: inner");
    EXPECT_EQ(code, exit_code::bad_data);
    EXPECT_EQ(wrapped_description(usage_error{"inner"}, code), "outer\n  caused by: inner");
    EXPECT_EQ(code, exit_code::usage);
    EXPECT_EQ(wrapped_description(std::runtime_error{"inner"}, code), "outer\n  caused by: inner");
    EXPECT_EQ(code, exit_code::failed);
}

TEST(Error, ForeignCauseKeepsTheCodeOfTheOuterError) {
    try {
        try {
            throw std::runtime_error{"library"};
        } catch (...) {
            std::throw_with_nested(data_error{"file"});
        }
    } catch (std::exception const& problem) {
        EXPECT_EQ(exit_code_of(problem), exit_code::bad_data);
    }
    EXPECT_EQ(exit_code_of(std::runtime_error{"x"}), exit_code::failed);
}

TEST(Error, EditDistanceEqualsItsDefinition) {
    std::mt19937 random{7};
    auto const word = [&random] {
        std::string letters(random() % 6, 'a');
        for (char& letter : letters) letter = static_cast<char>('a' + random() % 3);
        return letters;
    };
    for (int i = 0; i < 300; ++i) {
        std::string const a = word(), b = word();
        ASSERT_EQ(edit_distance(a, b), slow_distance(a, b)) << a << " " << b;
    }
}

TEST(Error, NamesTheClosestCandidateOnlyWhenItIsClose) {
    std::vector<std::string> const names{"transformer", "lstm", "msa"};
    EXPECT_EQ(did_you_mean("transfomer", names), " (did you mean `transformer`?)");
    EXPECT_EQ(did_you_mean("completely-different", names), "");
}

} // namespace
} // namespace tape
