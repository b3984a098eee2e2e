#include "learn/next_token.hpp"

namespace tape {

std::string NextToken::description() const { return "next residue from those before it; attention looks back only"; }

void NextToken::pose(Window const& window, Random&, Exercise& example) const {
    for (std::size_t place = 1; place < window.tokens.size(); ++place) {
        if (!EsmTokenizer::is_amino_acid(window.tokens[place])) continue;
        example.letter_places.push_back(static_cast<std::int64_t>(place - 1));
        example.letters.push_back(window.tokens[place]);
    }
}

std::string BothWays::description() const {
    return "every residue from those before it, and again from those behind it; figures are means over both ways";
}

void BothWays::pose(Window const& window, Random&, Exercise& example) const {
    for (std::size_t place = 0; place < window.tokens.size(); ++place) {
        if (!EsmTokenizer::is_amino_acid(window.tokens[place])) continue;
        example.letter_places.push_back(static_cast<std::int64_t>(place));
        example.letters.push_back(window.tokens[place]);
    }
}

} // namespace tape
