#include "learn/masked_language.hpp"

namespace tape {
namespace {

std::int64_t corrupted(std::int64_t token, MaskedLanguage::Options const& options, Random& random) {
    constexpr int residues = EsmTokenizer::last_residue - EsmTokenizer::first_residue + 1;
    double const fate = random.uniform();
    if (fate < options.masked) return EsmTokenizer::mask;
    if (fate >= options.masked + options.replaced) return token;
    // Another one of the 20: step round the circle by 1 to 19.
    auto const step = 1 + static_cast<std::int64_t>(random.below(residues - 1));
    return EsmTokenizer::first_residue + (token - EsmTokenizer::first_residue + step) % residues;
}

} // namespace

std::string MaskedLanguage::description() const {
    return "masked language model, 15% of the residues; 80% masked, 10% replaced, 10% kept";
}

void MaskedLanguage::pose(Window const& window, Random& random, Exercise& example) const {
    std::vector<std::size_t> candidates;
    auto const ask = [&](std::size_t place, std::int64_t shown) {
        example.letter_places.push_back(static_cast<std::int64_t>(place));
        example.letters.push_back(window.tokens[place]);
        example.tokens[place] = shown;
    };
    for (std::size_t place = 0; place < window.tokens.size(); ++place) {
        if (!EsmTokenizer::is_amino_acid(window.tokens[place])) continue;
        candidates.push_back(place);
        if (random.uniform() < options_.chosen) ask(place, corrupted(window.tokens[place], options_, random));
    }
    if (example.letters.empty() && !candidates.empty())
        ask(candidates[random.below(candidates.size())], EsmTokenizer::mask);
}

} // namespace tape
