#include "learn/variant_list.hpp"

#include "data/error.hpp"
#include "data/io.hpp"
#include "data/text.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <cmath>
#include <istream>
#include <string_view>

namespace tape {
namespace {

constexpr std::array<std::string_view, 4> variant_columns{"mutant", "mutation", "mutations", "variant"};
constexpr std::array<std::string_view, 5> measured_columns{"dms_score", "score", "measured", "value", "fitness"};

std::string lower(std::string_view text) {
    std::string out{text};
    std::ranges::transform(out, out.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    return out;
}

std::string trimmed(std::string_view text) {
    std::size_t const begin = text.find_first_not_of(" \r\"");
    if (begin == std::string_view::npos) return {};
    return std::string{text.substr(begin, text.find_last_not_of(" \r\"") - begin + 1)};
}

std::vector<std::string> columns_of(std::string_view line) {
    char const separator = line.find('\t') != std::string_view::npos ? '\t' : ',';
    std::vector<std::string> columns;
    for (;;) {
        std::size_t const end = line.find(separator);
        columns.push_back(trimmed(line.substr(0, end)));
        if (end == std::string_view::npos) return columns;
        line.remove_prefix(end + 1);
    }
}

/// Where a line's variant and measured value stand.
struct Layout {
    std::size_t variant = 0;
    std::optional<std::size_t> measured = 1;
};

std::optional<Layout> layout_of_header(std::vector<std::string> const& columns) {
    if (std::ranges::find(variant_columns, lower(columns[0])) == variant_columns.end()) return std::nullopt;
    Layout layout{.measured = std::nullopt};
    for (auto const name : measured_columns)
        for (std::size_t i = 1; i < columns.size() && !layout.measured; ++i)
            if (lower(columns[i]) == name) layout.measured = i;
    return layout;
}

std::optional<double> measured_value(std::string const& text) {
    std::string const name = lower(text);
    if (name.empty() || name == "nan" || name == "na") return std::nullopt;
    double value = 0;
    auto const [rest, problem] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (problem != std::errc{} || rest != text.data() + text.size() || !std::isfinite(value))
        throw data_error{"measured value " + shown(text) + " is no number (join the mutations of a variant with ':')"};
    return value;
}

Variant parse_line(std::vector<std::string> const& columns, Layout const& layout, Protein const& wild_type,
                   std::size_t first_position) {
    Variant variant{.name = columns[layout.variant], .mutations = {}, .measured = {}};
    if (lower(variant.name) != "wt") variant.mutations = parse_mutations(variant.name, first_position);
    if (layout.measured && *layout.measured < columns.size())
        variant.measured = measured_value(columns[*layout.measured]);
    (void)mutated(wild_type, variant, first_position);
    return variant;
}

} // namespace

std::vector<Variant> read_variants(std::filesystem::path const& file, Protein const& wild_type,
                                   std::size_t first_position) {
    auto const in = open_input(file);
    std::vector<Variant> variants;
    Layout layout;
    bool first = true;
    std::size_t number = 0;
    for (std::string line; std::getline(*in, line);) {
        ++number;
        auto const columns = columns_of(line);
        if ((columns.size() == 1 && columns[0].empty()) || line.starts_with('#')) continue;
        auto const header = first ? layout_of_header(columns) : std::nullopt;
        first = false;
        if (header) {
            layout = *header;
            continue;
        }
        try {
            variants.push_back(parse_line(columns, layout, wild_type, first_position));
        } catch (data_error const& problem) {
            throw data_error{file.string() + ":" + std::to_string(number) + ": " + problem.what()};
        }
    }
    if (variants.empty()) throw data_error{file.string() + ": holds no variants"};
    return variants;
}

std::string mutated(Protein const& wild_type, Variant const& variant, std::size_t first_position) {
    std::string residues = wild_type.residues;
    std::vector<bool> taken(residues.size(), false);
    for (auto const& mutation : variant.mutations) {
        std::string const where = std::string{"mutation '"} + residue_letter(mutation.from) +
                                  std::to_string(mutation.column + first_position) + residue_letter(mutation.to) +
                                  "': ";
        if (mutation.column >= residues.size())
            throw data_error{where + "protein " + shown(wild_type.id) + " ends at " +
                             std::to_string(residues.size() + first_position - 1)};
        if (taken[mutation.column]) throw data_error{where + "the variant has another mutation at this position"};
        if (wild_type.residues[mutation.column] != residue_letter(mutation.from))
            throw data_error{where + "protein " + shown(wild_type.id) + " has " + wild_type.residues[mutation.column] +
                             " there, not " + residue_letter(mutation.from) + "; positions count from " +
                             std::to_string(first_position) + " at its first residue"};
        taken[mutation.column] = true;
        residues[mutation.column] = residue_letter(mutation.to);
    }
    return residues;
}

} // namespace tape
