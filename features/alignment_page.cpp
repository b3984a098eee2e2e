#include "features/alignment_page.hpp"

#include "data/error.hpp"
#include "features/alignment_page_assets.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <numbers>
#include <string_view>
#include <vector>

namespace tape {
namespace {

constexpr int cell_width = 12, logo_height = 96, track_height = 46;
constexpr std::size_t rows_without_script = 20, pair_separation = 6, heat_map_limit = 2000, listed_pairs = 15;

bool is_residue(Residue code) { return code < amino_acid_count; }

std::string escaped(std::string_view text) {
    std::string result;
    for (char const c : text) {
        if (c == '&')
            result += "&amp;";
        else if (c == '<')
            result += "&lt;";
        else if (c == '"')
            result += "&quot;";
        else if (static_cast<unsigned char>(c) >= ' ')
            result += c;
        else
            result += ' ';
    }
    return result;
}

/// For the text of a script element, which knows no entities but must not hold '<'.
std::string packed(std::string_view text) {
    std::string result;
    for (char const c : text)
        result += c == '&'   ? "&amp;"
                  : c == '<' ? "&lt;"
                             : std::string(1, static_cast<unsigned char>(c) < ' ' ? ' ' : c);
    return result;
}

std::string number(double value, int digits) {
    char text[64];
    std::snprintf(text, sizeof text, "%.*f", digits, value);
    return text;
}

/// 12345 as 12,345.
std::string grouped(std::size_t value) {
    std::string text = std::to_string(value);
    for (std::size_t at = text.size(); at > 3;) text.insert(at -= 3, ",");
    return text;
}

/// Class of a residue's group: hydrophobic, charged, polar, other.
char group_of(char letter) {
    if (std::string_view{"CAVLIMFW"}.find(letter) != std::string_view::npos) return 'h';
    if (std::string_view{"DERK"}.find(letter) != std::string_view::npos) return 'c';
    if (std::string_view{"STNQ"}.find(letter) != std::string_view::npos) return 'p';
    return 'o';
}

struct RowFacts {
    double identity = 0, coverage = 0; ///< to the query over facing residues; share of the columns with a letter
};

RowFacts facts_of(Msa const& msa, std::size_t row) {
    auto const &query = msa.rows.front().columns, &columns = msa.rows[row].columns;
    std::size_t same = 0, both = 0, letters = 0;
    for (std::size_t c = 0; c < columns.size(); ++c) {
        letters += columns[c] != gap_code;
        if (is_residue(columns[c]) && is_residue(query[c])) ++both, same += columns[c] == query[c];
    }
    return {both > 0 ? static_cast<double>(same) / static_cast<double>(both) : 0,
            static_cast<double>(letters) / static_cast<double>(columns.size())};
}

std::vector<std::size_t> depths(Msa const& msa) {
    std::vector<std::size_t> depth(msa.length(), 0);
    for (auto const& row : msa.rows)
        for (std::size_t c = 0; c < depth.size(); ++c) depth[c] += row.columns[c] != gap_code;
    return depth;
}

// ---- tracks over the columns ----------------------------------------------------------------------------------------

std::string track(std::string const& label, int height, std::size_t length, std::string const& content,
                  std::string const& classes = {}) {
    std::string const width = std::to_string(length * cell_width), h = std::to_string(height);
    return "<div class=\"track\" style=\"--h:" + h + "px;width:calc(var(--gutter) + " + width +
           "px)\"><span class=\"label\">" + label + "</span><svg class=\"" + classes + "\" width=\"" + width +
           "\" height=\"" + h + "\" role=\"img\" aria-label=\"" + label + " by column\">" + content + "</svg></div>\n";
}

std::string ruler(std::size_t length) {
    std::string text;
    for (std::size_t p = 10; p <= length; p += 10)
        text += "<text class=\"n\" text-anchor=\"end\" x=\"" + std::to_string(p * cell_width - 1) + "\" y=\"12\">" +
                std::to_string(p) + "</text>";
    return text;
}

/// Stacked letters (Schneider & Stephens, Nucleic Acids Res 18:6097, 1990): a column is as high as its information,
/// log2 20 - entropy, and each letter takes its share. Letters below a pixel are left out.
std::string logo(Profile const& profile, std::size_t length) {
    constexpr double glyph_width = 6.02, glyph_height = 7.3; // a bold monospaced capital at 10 px
    double const bits = std::log2(20.0);
    std::string text;
    for (std::size_t c = 0; c < length; ++c) {
        auto const row = profile.counts.row(static_cast<Eigen::Index>(c));
        double const information = std::max(0.0, bits - static_cast<double>(profile.entropy[c]) * std::numbers::log2e) *
                                   (1 - static_cast<double>(profile.gap_fraction[c]));
        std::array<int, amino_acid_count> order{};
        for (int a = 0; a < amino_acid_count; ++a) order[static_cast<std::size_t>(a)] = a;
        std::ranges::stable_sort(order, {}, [&](int a) { return row(a); });
        double y = logo_height;
        for (int const a : order) {
            double const height = static_cast<double>(row(a)) * information / bits * logo_height;
            if (height < 1) continue;
            char const letter = amino_acids[static_cast<std::size_t>(a)];
            text += std::string{"<text class=\""} + group_of(letter) + "\" transform=\"matrix(" +
                    number(cell_width / glyph_width, 2) + " 0 0 " + number(height / glyph_height, 3) + ' ' +
                    std::to_string(c * cell_width) + ' ' + number(y, 1) + ")\">" + letter + "</text>";
            y -= height;
        }
    }
    return text;
}

/// One bar a column, heights as shares of the track.
std::string bars(std::vector<double> const& shares) {
    std::string path;
    for (std::size_t c = 0; c < shares.size(); ++c) {
        double const height = std::clamp(shares[c], 0.0, 1.0) * (track_height - 4);
        if (height > 0)
            path += "M" + std::to_string(c * cell_width + 1) + " " + std::to_string(track_height) + "v-" +
                    number(height, 1) + "h" + std::to_string(cell_width - 2) + "v" + number(height, 1) + "z";
    }
    return "<path class=\"bar\" d=\"" + path + "\"/>";
}

// ---- couplings ------------------------------------------------------------------------------------------------------

struct Pair {
    std::size_t i, j;
    float value;
};

/// Pairs at least six apart, strongest first, `count` of them at most.
std::vector<Pair> strongest_pairs(std::span<float const> map, std::size_t length, std::size_t count) {
    std::vector<Pair> pairs;
    for (std::size_t i = 0; i < length; ++i)
        for (std::size_t j = i + pair_separation; j < length; ++j) pairs.push_back({i, j, map[i * length + j]});
    auto const stronger = [](Pair const& a, Pair const& b) {
        return a.value != b.value ? a.value > b.value : a.i != b.i ? a.i < b.i : a.j < b.j;
    };
    std::size_t const kept = std::min(count, pairs.size());
    std::partial_sort(pairs.begin(), pairs.begin() + static_cast<std::ptrdiff_t>(kept), pairs.end(), stronger);
    pairs.resize(kept);
    return pairs;
}

std::string base64(std::vector<std::uint8_t> const& bytes) {
    static constexpr std::string_view digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    std::string text;
    for (std::size_t i = 0; i < bytes.size(); i += 3) {
        std::size_t const left = std::min<std::size_t>(3, bytes.size() - i);
        unsigned word = 0;
        for (std::size_t b = 0; b < 3; ++b) word = word << 8 | (b < left ? bytes[i + b] : 0u);
        for (std::size_t d = 0; d < 4; ++d) text += d <= left ? digits[word >> (18 - 6 * d) & 63] : '=';
    }
    return text;
}

/// The map's upper triangle as bytes, row by row: 0 for nothing or less, 255 for the value of the L-th strongest pair.
std::string heat_bytes(std::span<float const> map, std::size_t length, float full) {
    if (length > heat_map_limit || full <= 0) return {};
    std::vector<std::uint8_t> bytes;
    for (std::size_t i = 0; i < length; ++i)
        for (std::size_t j = i + 1; j < length; ++j)
            bytes.push_back(static_cast<std::uint8_t>(255 * std::clamp(map[i * length + j] / full, 0.f, 1.f)));
    return base64(bytes);
}

std::string coupling_section(Msa const& msa, PageOptions const& options, std::vector<Pair> const& pairs) {
    std::size_t const length = msa.length();
    std::string const l = std::to_string(length);
    double const radius = std::max(0.8, static_cast<double>(length) / 220);
    std::string dots;
    for (auto const& pair : pairs)
        dots += "<circle class=\"dot\" r=\"" + number(radius, 2) + "\" cx=\"" + std::to_string(pair.j) + ".5\" cy=\"" +
                std::to_string(pair.i) + ".5\"/>";
    std::string lines, table;
    std::size_t const step = length < 120 ? 20 : length < 400 ? 50 : length < 1000 ? 100 : 200;
    for (std::size_t p = step; p < length; p += step) {
        std::string const at = std::to_string(p);
        lines += "<path class=\"line\" d=\"M" + at + " 0V" + l + "M0 " + at + "H" + l + "\"/><text class=\"n\" x=\"" +
                 at + "\" y=\"" + number(static_cast<double>(length) / 36, 1) +
                 "\" style=\"font-size:" + number(static_cast<double>(length) / 48, 1) + "px\">" + at + "</text>";
    }
    auto const residue = [&](std::size_t c) {
        return residue_letter(msa.rows.front().columns[c]) + std::to_string(c + 1);
    };
    for (std::size_t p = 0; p < std::min(listed_pairs, pairs.size()); ++p)
        table += "<tr><td>" + residue(pairs[p].i) + "</td><td>" + residue(pairs[p].j) + "</td><td class=\"r\">" +
                 std::to_string(pairs[p].j - pairs[p].i) + "</td><td class=\"r\">" +
                 number(static_cast<double>(pairs[p].value), 3) + "</td></tr>";
    return "<h2>Couplings</h2>\n<p>" + escaped(options.couplings_name) + ". Above the diagonal, the " +
           grouped(pairs.size()) +
           " strongest pairs of columns at least 6 apart, as many as there are residues; below it, every pair, the "
           "darker "
           "the stronger.</p>\n<div class=\"pairs\"><div class=\"map\"><canvas id=\"heat\" width=\"" +
           l + "\" height=\"" + l + "\"></canvas><svg viewBox=\"0 0 " + l + " " + l +
           "\" role=\"img\" aria-label=\"Coupling map\">" + lines + "<path class=\"line\" d=\"M0 0L" + l + " " + l +
           "\"/>" + dots +
           "</svg></div>\n<table><thead><tr><th colspan=\"2\">Strongest pairs</th><th class=\"r\">apart</th><th "
           "class=\"r\">score</th></tr></thead><tbody>" +
           table + "</tbody></table></div>\n";
}

// ---- the whole ------------------------------------------------------------------------------------------------------

std::string figures(Msa const& msa, std::vector<RowFacts> const& facts, PageOptions const& options) {
    std::string text = "<dl>";
    auto const add = [&](std::string_view name, std::string const& value) {
        text.append("<div><dt>").append(name).append("</dt><dd>").append(value).append("</dd></div>");
    };
    add("residues", grouped(msa.length())), add("rows", grouped(msa.depth()));
    if (options.neff > 0) add("Neff at 80% identity", number(options.neff, 1));
    if (msa.depth() > 1) {
        std::vector<double> identities, coverages;
        for (std::size_t r = 1; r < facts.size(); ++r)
            identities.push_back(facts[r].identity), coverages.push_back(facts[r].coverage);
        auto const median = [](std::vector<double>& values) {
            auto const middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
            std::ranges::nth_element(values, middle);
            return number(100 * *middle, 0) + "%";
        };
        add("median identity", median(identities)), add("median coverage", median(coverages));
    }
    return text + "</dl>\n";
}

/// The first rows in blocks of 60 columns, for readers without scripts.
std::string static_rows(Msa const& msa) {
    constexpr std::size_t block = 60, name_width = 20;
    std::size_t const rows = std::min(msa.depth(), rows_without_script + 1);
    std::string text;
    for (std::size_t begin = 0; begin < msa.length(); begin += block) {
        std::size_t const end = std::min(begin + block, msa.length());
        for (std::size_t r = 0; r < rows; ++r) {
            std::string name = msa.rows[r].id.substr(0, name_width);
            name.resize(name_width + 1, ' ');
            text += escaped(name);
            for (std::size_t c = begin; c < end; ++c) {
                char const letter = residue_letter(msa.rows[r].columns[c]), group = group_of(letter);
                text += group == 'o' ? std::string(1, letter)
                                     : std::string{"<span class=\""} + group + "\">" + letter + "</span>";
            }
            text += r == 0 ? "  " + std::to_string(end) + "\n" : "\n";
        }
        text += '\n';
    }
    return "<noscript><p>The first " + std::to_string(rows) + " of " + grouped(msa.depth()) +
           " rows; with scripts allowed, this page shows all.</p><div class=\"box\"><pre>" + text +
           "</pre></div></noscript>\n";
}

std::string packed_rows(Msa const& msa, std::vector<RowFacts> const& facts) {
    std::string text;
    for (std::size_t r = 0; r < msa.depth(); ++r)
        text += packed(msa.rows[r].id) + '\t' + number(facts[r].identity, 3) + '\t' + number(facts[r].coverage, 3) +
                '\t' + decode_residues(msa.rows[r].columns) + '\n';
    return text;
}

template <typename Values> std::string json_array(Values const& values, int digits) {
    std::string text = "[";
    for (auto const value : values) text += (text.size() > 1 ? "," : "") + number(static_cast<double>(value), digits);
    return text + "]";
}

} // namespace

std::string alignment_page(Msa const& msa, Profile const& profile, PageOptions const& options) {
    std::size_t const length = msa.length();
    if (!options.couplings.empty() && options.couplings.size() != length * length)
        throw error{"alignment page: a map of " + std::to_string(options.couplings.size()) + " values for " +
                    std::to_string(length) + " columns"};
    std::vector<RowFacts> facts;
    for (std::size_t r = 0; r < msa.depth(); ++r) facts.push_back(facts_of(msa, r));
    auto const depth = depths(msa);
    std::vector<double> entropy_shares, depth_shares;
    for (std::size_t c = 0; c < length; ++c) {
        entropy_shares.push_back(static_cast<double>(profile.entropy[c]) / std::log(20.0));
        depth_shares.push_back(static_cast<double>(depth[c]) / static_cast<double>(msa.depth()));
    }
    auto const pairs =
        options.couplings.empty() ? std::vector<Pair>{} : strongest_pairs(options.couplings, length, length);
    std::string const id = escaped(msa.rows.front().id);
    std::string page =
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" "
        "content=\"width=device-width,initial-scale=1\">\n<meta http-equiv=\"Content-Security-Policy\" "
        "content=\"default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'\">\n<title>" +
        id + ": alignment</title>\n<style>" + std::string{alignment_page_style} +
        "</style>\n</head>\n<body>\n<main>\n<h1>" + id + "</h1>\n";
    if (!msa.rows.front().description.empty()) page += "<p>" + escaped(msa.rows.front().description) + "</p>\n";
    page += "<p class=\"muted\">Query-anchored alignment, " + escaped(msa.source) + "</p>\n" +
            figures(msa, facts, options) +
            "<h2>Columns</h2>\n<p>Logo: a letter's height is its weighted frequency times the column's information. "
            "Entropy "
            "runs from 0 (one residue) to log 20; depth counts the rows with a residue.</p>\n<div class=\"box\" "
            "id=\"tracks\" tabindex=\"0\">\n" +
            track("Logo", logo_height, length, logo(profile, length), "logo") +
            track("Position", 18, length, ruler(length)) +
            track("Entropy", track_height, length, bars(entropy_shares)) +
            track("Depth", track_height, length, bars(depth_shares)) + "</div>\n";
    page +=
        "<h2>Alignment</h2>\n<div class=\"legend\"><span><i style=\"background:var(--hydrophobic)\"></i>hydrophobic "
        "CAVLIMFW</span><span><i style=\"background:var(--charged)\"></i>charged DERK</span><span><i "
        "style=\"background:var(--polar)\"></i>polar STNQ</span><span><i "
        "style=\"background:var(--other)\"></i>other</span><span class=\"muted\">insertions are left out</span></div>\n"
        "<div class=\"controls script\"><label>Find <input id=\"find\" type=\"search\" size=\"14\" "
        "placeholder=\"row name\"></label><label>Order <select id=\"sort\"><option value=\"order\">as "
        "aligned</option><option value=\"identity\">identity</option><option "
        "value=\"coverage\">coverage</option></select></label><label><input id=\"dots\" type=\"checkbox\"> dots "
        "where a row equals the query</label></div>\n<div class=\"script\"><div class=\"box\" id=\"view\" "
        "tabindex=\"0\" aria-label=\"Alignment rows\"><canvas></canvas><div id=\"space\"></div></div><div id=\"tell\" "
        "class=\"muted\"></div></div>\n" +
        static_rows(msa);
    if (!options.couplings.empty()) page += coupling_section(msa, options, pairs);
    page += "</main>\n<script type=\"text/plain\" id=\"rows\">\n" + packed_rows(msa, facts) +
            "</script>\n<script type=\"application/json\" id=\"data\">{\"entropy\":" + json_array(profile.entropy, 3) +
            ",\"depth\":" + json_array(depth, 0) + ",\"neff\":" + json_array(profile.neff_column, 1) + ",\"map\":\"" +
            (pairs.empty() ? "" : heat_bytes(options.couplings, length, pairs.back().value)) +
            "\"}</script>\n<script>" + std::string{alignment_page_script} + "</script>\n</body>\n</html>\n";
    return page;
}

} // namespace tape
