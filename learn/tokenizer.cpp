#include "learn/tokenizer.hpp"

#include <array>
#include <cctype>

namespace tape {
namespace {

constexpr std::string_view letters_in_order = "LAGVSERTIDPKQNFYMHWCXBUZO.-";

constexpr std::array<std::int8_t, 256> make_table() {
    std::array<std::int8_t, 256> table{};
    table.fill(EsmTokenizer::unknown);
    for (std::size_t i = 0; i < letters_in_order.size(); ++i) {
        auto const letter = static_cast<unsigned char>(letters_in_order[i]);
        auto const token = static_cast<std::int8_t>(EsmTokenizer::first_residue + i);
        table[letter] = token;
        if (letter >= 'A' && letter <= 'Z') table[letter - 'A' + 'a'] = token;
    }
    return table;
}
constexpr auto table = make_table();

} // namespace

int EsmTokenizer::token(char letter) noexcept { return table[static_cast<unsigned char>(letter)]; }

std::vector<std::int64_t> EsmTokenizer::residues(std::string_view letters) {
    std::vector<std::int64_t> tokens;
    tokens.reserve(letters.size());
    for (char const letter : letters) tokens.push_back(token(letter));
    return tokens;
}

std::vector<std::int64_t> EsmTokenizer::wrapped(std::string_view letters) {
    std::vector<std::int64_t> tokens;
    tokens.reserve(letters.size() + 2);
    tokens.push_back(cls);
    for (char const letter : letters) tokens.push_back(token(letter));
    tokens.push_back(eos);
    return tokens;
}

std::string EsmTokenizer::name(int token) {
    static constexpr std::array<std::string_view, 4> special{"<cls>", "<pad>", "<eos>", "<unk>"};
    if (token >= 0 && token < 4) return std::string{special[static_cast<std::size_t>(token)]};
    if (token == mask) return "<mask>";
    auto const index = static_cast<std::size_t>(token - first_residue);
    return index < letters_in_order.size() ? std::string{letters_in_order[index]} : "<null_1>";
}

} // namespace tape
