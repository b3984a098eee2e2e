#include "learn/bert_vocabulary.hpp"

#include "data/error.hpp"
#include "data/io.hpp"
#include "data/text.hpp"
#include "learn/checkpoint.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cctype>
#include <sstream>

namespace tape {
namespace {

constexpr std::string_view protbert_letters = "LAGVESIKRDTPNQFYMHCWXUBZO";
constexpr std::string_view iupac_letters = "ABCDEFGHIKLMNOPQRSTUVWXYZ";
constexpr std::string_view amino_letters = "ACDEFGHIKLMNPQRSTVWY";

void set_letter(BertVocabulary& words, char letter, std::int64_t token) {
    auto const low = static_cast<unsigned char>(std::tolower(static_cast<unsigned char>(letter)));
    words.letters[static_cast<unsigned char>(letter)] = words.letters[low] = static_cast<std::int16_t>(token);
}

std::int64_t place_of(BertVocabulary const& words, std::string const& name) {
    auto const found = std::ranges::find(words.names, name);
    return found == words.names.end() ? -1 : found - words.names.begin();
}

/// Letters to tokens: those of `as_x` are read as X, those that have no token as `unknown`.
BertVocabulary with_letters(BertVocabulary words, std::string const& unknown, std::string_view as_x) {
    words.letters.fill(static_cast<std::int16_t>(place_of(words, unknown)));
    for (std::size_t token = 0; token < words.names.size(); ++token)
        if (words.names[token].size() == 1) set_letter(words, words.names[token][0], static_cast<std::int64_t>(token));
    for (char const letter : as_x) set_letter(words, letter, place_of(words, "X"));
    return words;
}

BertVocabulary hugging_face_vocabulary(std::vector<std::string> names) {
    BertVocabulary words{.names = std::move(names)};
    words.padding = place_of(words, "[PAD]"), words.mask = place_of(words, "[MASK]");
    words.start = place_of(words, "[CLS]"), words.end = place_of(words, "[SEP]");
    return with_letters(std::move(words), "[UNK]", "UZOB");
}

void add_letters(std::vector<std::string>& names, std::string_view letters) {
    for (char const letter : letters) names.emplace_back(1, letter);
}

} // namespace

BertVocabulary BertVocabulary::protbert() {
    std::vector<std::string> names{"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"};
    add_letters(names, protbert_letters);
    return hugging_face_vocabulary(std::move(names));
}

BertVocabulary BertVocabulary::iupac() {
    std::vector<std::string> names{"<pad>", "<mask>", "<cls>", "<sep>", "<unk>"};
    add_letters(names, iupac_letters);
    BertVocabulary words{.names = std::move(names), .padding = 0, .mask = 1, .start = 2, .end = 3};
    return with_letters(std::move(words), "<unk>", "J");
}

BertVocabulary BertVocabulary::from_file(std::filesystem::path const& file) {
    std::vector<std::string> names;
    std::istringstream lines{read_text(file, std::uint64_t{1} << 20)};
    for (std::string line; std::getline(lines, line);) {
        if (line.ends_with('\r')) line.pop_back();
        names.push_back(line);
    }
    auto const require_token = [&](std::string const& name) {
        if (std::ranges::find(names, name) == names.end())
            throw data_error{file.string() + ": has no token " + shown(name) + "; expected a vocabulary of residues"};
    };
    for (char const* const special : {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "X"}) require_token(special);
    for (char const letter : amino_letters) require_token(std::string(1, letter));
    return hugging_face_vocabulary(std::move(names));
}

std::vector<std::int64_t> BertVocabulary::wrapped(std::string_view residues) const {
    std::vector<std::int64_t> row{start};
    for (char const letter : residues) row.push_back(letters[static_cast<unsigned char>(letter)]);
    row.push_back(end);
    return row;
}

void BertVocabulary::require_size(nlohmann::json const& json, std::string const& origin) const {
    if (positive_field(json, "vocab_size", origin) != static_cast<int>(names.size()))
        throw data_error{origin + ": 'vocab_size' is " + json.at("vocab_size").dump() + "; the vocabulary has " +
                         std::to_string(names.size()) + " tokens"};
}

} // namespace tape
