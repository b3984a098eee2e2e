#include "features/alignment_view.hpp"

#include <algorithm>
#include <cmath>
#include <string_view>

namespace tape {
namespace {

constexpr std::size_t name_width = 24;

std::string padded(std::string text, std::size_t width) {
    text.resize(std::max(width, text.size()), ' ');
    return text;
}

std::string short_name(std::string const& id) {
    return padded(id.size() < name_width ? id : id.substr(0, name_width - 2) + "~", name_width);
}

/// Position numbers (from 1) of every tenth column, each ending above its column.
std::string ruler(std::size_t begin, std::size_t end) {
    std::string line(end - begin, ' ');
    for (std::size_t position = (begin / 10 + 1) * 10; position <= end; position += 10) {
        std::string const number = std::to_string(position);
        std::size_t const last = position - 1 - begin;
        if (last + 1 >= number.size()) line.replace(last + 1 - number.size(), number.size(), number);
    }
    return line;
}

char conservation(Profile const& profile, std::size_t column) {
    if (profile.gap_fraction[column] > 0.5f) return ' ';
    double const share = 1 - static_cast<double>(profile.entropy[column]) / std::log(20.0);
    return static_cast<char>('0' + std::clamp(static_cast<int>(share * 10), 0, 9));
}

/// Hydrophobic, charged, polar; others plain.
std::string_view colour_of(char letter) {
    if (std::string_view{"CAVLIMFW"}.find(letter) != std::string_view::npos) return "\033[33m";
    if (std::string_view{"DERK"}.find(letter) != std::string_view::npos) return "\033[31m";
    if (std::string_view{"STNQ"}.find(letter) != std::string_view::npos) return "\033[32m";
    return {};
}

std::string row_text(Msa const& msa, std::size_t row, std::size_t begin, std::size_t end, bool colour) {
    std::string text;
    for (std::size_t c = begin; c < end; ++c) {
        Residue const code = msa.rows[row].columns[c], query = msa.rows[0].columns[c];
        char const letter = residue_letter(code);
        auto const paint = colour ? colour_of(letter) : std::string_view{};
        text += paint;
        text += row > 0 && code == query ? '.' : letter;
        if (!paint.empty()) text += "\033[0m";
    }
    return text;
}

} // namespace

std::string alignment_view(Msa const& msa, Profile const& profile, ViewOptions const& options) {
    std::size_t const shown = std::min(msa.depth(), options.rows + 1), length = msa.length();
    std::string view;
    for (std::size_t begin = 0; begin < length; begin += options.columns) {
        std::size_t const end = std::min(length, begin + options.columns);
        std::string digits;
        for (std::size_t c = begin; c < end; ++c) digits += conservation(profile, c);
        view += padded("", name_width) + ruler(begin, end) + '\n' + padded("conservation", name_width) + digits + '\n';
        for (std::size_t r = 0; r < shown; ++r)
            view += short_name(msa.rows[r].id) + row_text(msa, r, begin, end, options.colour) + '\n';
        view += '\n';
    }
    if (shown < msa.depth()) view += "and " + std::to_string(msa.depth() - shown) + " more rows\n";
    return view;
}

} // namespace tape
