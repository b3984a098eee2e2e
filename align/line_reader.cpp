#include "align/line_reader.hpp"

#include "data/error.hpp"
#include "data/text.hpp"

#include <charconv>
#include <cmath>
#include <istream>

namespace tape {

bool LineReader::next() {
    if (!std::getline(in_, text_)) return false;
    ++number_;
    if (!text_.empty() && text_.back() == '\r') text_.pop_back();
    if (text_.find('\0') != std::string::npos) std::erase(text_, '\0');
    return true;
}

void LineReader::require(std::string_view wanted) {
    while (next())
        if (text_.find_first_not_of(" \t") != std::string::npos) return;
    fail("ends before " + std::string{wanted} + "; the file is truncated");
}

void LineReader::fail(std::string const& message) const { throw data_error{place() + message}; }

std::vector<std::string_view> fields_of(std::string_view line) {
    std::vector<std::string_view> words;
    for (std::size_t begin = line.find_first_not_of(" \t"); begin != std::string_view::npos;) {
        std::size_t const end = std::min(line.find_first_of(" \t", begin), line.size());
        words.push_back(line.substr(begin, end - begin));
        begin = line.find_first_not_of(" \t", end);
    }
    return words;
}

double number_of(LineReader const& lines, std::string_view word, std::string_view what) {
    double value = 0;
    auto const [end, problem] = std::from_chars(word.data(), word.data() + word.size(), value);
    if (problem != std::errc{} || end != word.data() + word.size() || !std::isfinite(value))
        lines.fail("expected " + std::string{what} + ", saw " + shown(word));
    return value;
}

std::size_t count_of(LineReader const& lines, std::string_view word, std::string_view what, std::size_t minimum) {
    std::size_t value = 0;
    auto const [end, problem] = std::from_chars(word.data(), word.data() + word.size(), value);
    if (problem != std::errc{} || end != word.data() + word.size() || value < minimum || value > 100'000'000)
        lines.fail("expected " + std::string{what} + ", saw " + shown(word));
    return value;
}

} // namespace tape
