// The folders may only include what lies below them, and the two heavy libraries stay where they belong.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
#include <string>
#include <vector>

namespace {

namespace fs = std::filesystem;

std::map<std::string, int> const rank{{"data", 0}, {"align", 1}, {"features", 2}, {"learn", 3}, {"compare", 4}, {"apps", 5}};

struct Include {
    fs::path file;
    int line;
    std::string folder, target;
};

/// Every #include of the product's sources, with the folder of the including file.
std::vector<Include> includes_of(fs::path const& root) {
    static std::regex const pattern{R"(^\s*#\s*include\s*[<"]([^">]+)[">])"};
    std::vector<Include> found;
    for (auto const& [folder, _] : rank)
        for (auto const& entry : fs::recursive_directory_iterator{root / folder}) {
            auto const extension = entry.path().extension();
            if (extension != ".cpp" && extension != ".hpp") continue;
            std::ifstream in{entry.path()};
            std::string text;
            for (int line = 1; std::getline(in, text); ++line)
                if (std::smatch match; std::regex_search(text, match, pattern))
                    found.push_back({entry.path(), line, folder, match[1]});
        }
    return found;
}

std::vector<std::string> upward(std::vector<Include> const& includes) {
    std::vector<std::string> broken;
    for (auto const& include : includes) {
        auto const target = rank.find(include.target.substr(0, include.target.find('/')));
        if (target != rank.end() && target->second > rank.at(include.folder))
            broken.push_back(include.file.string() + ":" + std::to_string(include.line) + ": " + include.target);
    }
    return broken;
}

bool starts_with_any(std::string const& text, std::initializer_list<char const*> prefixes) {
    return std::ranges::any_of(prefixes, [&](char const* prefix) { return text.starts_with(prefix); });
}

TEST(Layering, no_folder_includes_one_above_it) {
    auto const includes = includes_of(TAPE_SOURCE_DIR);
    ASSERT_GT(includes.size(), 100u);
    EXPECT_EQ(upward(includes), std::vector<std::string>{});
}

TEST(Layering, an_upward_include_is_seen) {
    EXPECT_EQ(upward({{"data/x.cpp", 3, "data", "align/msa.hpp"}}), std::vector<std::string>{"data/x.cpp:3: align/msa.hpp"});
}

TEST(Layering, torch_stays_in_learn_and_seqan_in_the_sources_of_align) {
    for (auto const& include : includes_of(TAPE_SOURCE_DIR)) {
        std::string const where = include.file.string() + ":" + std::to_string(include.line);
        if (starts_with_any(include.target, {"torch/", "ATen/", "c10/"})) { EXPECT_EQ(include.folder, "learn") << where; }
        if (starts_with_any(include.target, {"seqan3/"})) {
            EXPECT_EQ(include.folder, "align") << where;
            EXPECT_EQ(include.file.extension(), ".cpp") << where;
        }
        EXPECT_NE(include.target, "torch/torch.h") << where;
    }
}

} // namespace
