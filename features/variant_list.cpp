#include "features/variant_list.hpp"

#include "data/error.hpp"
#include "data/io.hpp"
#include "data/text.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <exception>
#include <istream>
#include <ostream>
#include <unordered_map>

namespace tape {
namespace {

constexpr std::array variant_columns{"variant", "variants", "mutant", "mutants", "mutation", "mutations"};
constexpr std::array query_columns{"query", "protein"};
constexpr std::array measured_columns{"measured", "dms_score"};

std::string lower_case(std::string text) {
    std::ranges::transform(text, text.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c; });
    return text;
}

/// Without blanks and quotes around it.
std::string trimmed(std::string_view cell) {
    constexpr char const* blanks = " \t\r";
    auto const trim = [&] {
        std::size_t const begin = std::min(cell.find_first_not_of(blanks), cell.size());
        cell.remove_prefix(begin);
        cell = cell.substr(0, cell.find_last_not_of(blanks) + 1);
    };
    trim();
    if (cell.size() >= 2 && cell.front() == '"' && cell.back() == '"') cell = cell.substr(1, cell.size() - 2), trim();
    return std::string{cell};
}

std::vector<std::string> cells_of(std::string_view line, char separator) {
    std::vector<std::string> cells;
    for (std::size_t end; (end = line.find(separator)) != std::string_view::npos; line.remove_prefix(end + 1))
        cells.push_back(trimmed(line.substr(0, end)));
    cells.push_back(trimmed(line));
    return cells;
}

/// Where a list keeps what; a plain list has one column.
struct Layout {
    char separator = '\t';
    std::size_t variant = 0, columns = 1;
    std::optional<std::size_t> query, measured;
};

std::optional<std::size_t> find_column(std::vector<std::string> const& header, auto const& names) {
    for (std::size_t c = 0; c < header.size(); ++c)
        if (std::ranges::find(names, lower_case(header[c])) != std::end(names)) return c;
    return std::nullopt;
}

bool is_variant(std::string const& cell) {
    if (lower_case(cell) == "wt") return true;
    try {
        return !parse_mutations(cell, 0).empty();
    } catch (data_error const&) {
        return false;
    }
}

/// The layout that the first line tells, if it is a header.
std::optional<Layout> header_layout(std::string const& line, std::string const& measured_column,
                                    std::string const& where) {
    Layout layout;
    layout.separator = line.find('\t') != std::string::npos ? '\t' : ',';
    auto const header = cells_of(line, layout.separator);
    auto const variant = find_column(header, variant_columns);
    if (!variant && (header.size() == 1 || is_variant(header.front()))) return std::nullopt;
    if (!variant)
        throw data_error{where +
                         ": no column of variants; the header of a table names it mutant, mutation or variant, "
                         "this one has " +
                         shown(joined(header), 200)};
    layout.variant = *variant, layout.columns = header.size();
    layout.query = find_column(header, query_columns);
    layout.measured = measured_column.empty() ? find_column(header, measured_columns)
                                              : find_column(header, std::array{lower_case(measured_column)});
    if (!measured_column.empty() && !layout.measured)
        throw data_error{where + ": no column " + shown(measured_column) + "; the header has " +
                         shown(joined(header), 200) + did_you_mean(measured_column, header)};
    return layout;
}

/// Of a list without a header: a variant, and a measurement if the first line has one.
Layout plain_layout(std::string const& line) {
    Layout layout;
    layout.separator = line.find('\t') != std::string::npos ? '\t' : ',';
    if (cells_of(line, layout.separator).size() > 1) layout.columns = 2, layout.measured = 1;
    return layout;
}

std::optional<double> measurement(std::string const& cell) {
    if (auto const name = lower_case(cell); name.empty() || name == "na" || name == "nan") return std::nullopt;
    double value = 0;
    auto const [end, problem] = std::from_chars(cell.data(), cell.data() + cell.size(), value);
    if (problem != std::errc{} || end != cell.data() + cell.size() || !std::isfinite(value))
        throw data_error{"the measurement is " + shown(cell) + "; expected a finite number, or nothing"};
    return value;
}

ListedVariant read_variant(std::string const& line, std::size_t number, Layout const& layout,
                           std::size_t first_position) {
    auto const cells = cells_of(line, layout.separator);
    if (cells.size() != layout.columns)
        throw data_error{counted(cells.size(), "cell") + "; expected " + std::to_string(layout.columns)};
    ListedVariant variant{.name = cells[layout.variant], .query = {}, .mutations = {}, .measured = {}, .line = number};
    if (layout.query) variant.query = cells[*layout.query];
    if (variant.name.empty()) throw data_error{"the variant is missing; write the wild type as WT"};
    if (lower_case(variant.name) != "wt") variant.mutations = parse_mutations(variant.name, first_position);
    if (layout.measured) variant.measured = measurement(cells[*layout.measured]);
    return variant;
}

std::string where_of(VariantList const& list, ListedVariant const& variant) {
    return list.file + ":" + std::to_string(variant.line) + ": variant " + shown(variant.name, 80);
}

/// Which protein a variant is of.
std::size_t protein_of(VariantList const& list, ListedVariant const& variant,
                       std::unordered_map<std::string, std::size_t> const& by_id, std::span<Protein const> proteins) {
    if (variant.query.empty()) {
        if (proteins.size() == 1) return 0;
        throw data_error{where_of(list, variant) + " does not say which of " + counted(proteins.size(), "protein") +
                         " it is of; add a column 'query' with their ids"};
    }
    auto const found = by_id.find(variant.query);
    if (found != by_id.end()) return found->second;
    std::vector<std::string> ids;
    for (auto const& protein : proteins) ids.push_back(protein.id);
    throw data_error{where_of(list, variant) + ": " + shown(variant.query) + " is none of the proteins" +
                     did_you_mean(variant.query, ids)};
}

} // namespace

VariantList read_variant_list(std::filesystem::path const& file, VariantListOptions const& options) {
    VariantList list{.file = file == "-" ? "stdin" : file.string(),
                     .first_position = options.first_position,
                     .variants = {},
                     .measured = false};
    auto const in = open_input(file);
    std::optional<Layout> layout;
    std::string line;
    for (std::size_t number = 1; std::getline(*in, line); ++number) {
        if (number == 1 && line.starts_with("\xEF\xBB\xBF")) line.erase(0, 3);
        if (line.find_first_not_of(" \t\r") == std::string::npos || line.starts_with('#')) continue;
        std::string const where = list.file + ":" + std::to_string(number);
        if (!layout) {
            auto const header = header_layout(line, options.measured_column, where);
            layout = header ? *header : plain_layout(line);
            list.measured = layout->measured.has_value();
            if (!header && !options.measured_column.empty())
                throw data_error{where + ": a plain list of variants has no column " + shown(options.measured_column) +
                                 "; give a table with a header"};
            if (header) continue;
        }
        try {
            list.variants.push_back(read_variant(line, number, *layout, options.first_position));
        } catch (data_error const&) {
            std::throw_with_nested(data_error{where + ": not a variant: " + shown(trimmed(line), 80)});
        }
    }
    if (list.variants.empty()) throw data_error{list.file + ": no variant; expected one a line, such as A104G:L12P"};
    return list;
}

std::string mutated(Protein const& protein, std::span<Mutation const> mutations) {
    check_mutations(mutations, encode_residues(protein.residues));
    std::string residues = protein.residues;
    for (auto const& mutation : mutations) residues[mutation.column] = residue_letter(mutation.to);
    return residues;
}

std::vector<std::vector<ListedVariant>> variants_of_proteins(VariantList const& list,
                                                             std::span<Protein const> proteins) {
    std::unordered_map<std::string, std::size_t> by_id;
    std::vector<std::vector<Residue>> residues;
    for (std::size_t p = 0; p < proteins.size(); ++p)
        by_id.emplace(proteins[p].id, p), residues.push_back(encode_residues(proteins[p].residues));
    std::vector<std::vector<ListedVariant>> result(proteins.size());
    for (auto const& variant : list.variants) {
        std::size_t const p = protein_of(list, variant, by_id, proteins);
        try {
            check_mutations(variant.mutations, residues[p], list.first_position);
        } catch (data_error const&) {
            std::throw_with_nested(data_error{where_of(list, variant) + " is none of record '" + proteins[p].id + "'"});
        }
        result[p].push_back(variant);
    }
    return result;
}

void write_variant_scores(std::ostream& out, VariantList const& list, std::span<ListedVariant const> variants,
                          std::span<VariantScores const> scores, bool potts) {
    out << "variant\tmutations\tentropy\tlog_odds" << (potts ? "\tpotts" : "") << (list.measured ? "\tmeasured" : "")
        << '\n';
    auto const write = [&](double value, char const* format) {
        char text[32];
        std::snprintf(text, sizeof text, format, value);
        out << '\t' << text;
    };
    for (std::size_t v = 0; v < variants.size(); ++v) {
        out << variants[v].name << '\t' << variants[v].mutations.size();
        write(scores[v].entropy, "%.4f"), write(scores[v].log_odds, "%.4f");
        if (potts) write(scores[v].potts, "%.4f");
        if (variants[v].measured)
            write(*variants[v].measured, "%.10g");
        else if (list.measured)
            out << '\t';
        out << '\n';
    }
}

} // namespace tape
