#pragma once

#include <string>
#include <string_view>

namespace tape {

/// A value as an error message shows it: in single quotes, shortened to `limit` bytes, control and non-ASCII bytes as
/// \xNN.
std::string shown(std::string_view value, std::size_t limit = 40);

/// "1 label", "3 labels".
std::string counted(std::size_t count, std::string_view noun);

/// "a, b and c", or with another last word between.
template <typename Range> std::string joined(Range const& words, std::string const& conjunction = "and") {
    std::string text;
    std::size_t left = 0;
    for ([[maybe_unused]] auto const& word : words) ++left;
    for (auto const& word : words) {
        text += word;
        if (--left > 0) text += left == 1 ? " " + conjunction + " " : ", ";
    }
    return text;
}

} // namespace tape
