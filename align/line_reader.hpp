#pragma once

#include <cstddef>
#include <iosfwd>
#include <string>
#include <string_view>
#include <vector>

namespace tape {

/// Lines of a text format, with the place that an error message begins with. Carriage returns and NUL bytes are dropped
/// (MMseqs2 databases, and ColabFold's joined A3M, separate blocks by NUL).
class LineReader {
  public:
    LineReader(std::istream& in, std::string name) : in_{in}, name_{std::move(name)} {}

    bool next();
    /// The next line that is not blank. @throws data_error "file:line: ends before <wanted>; the file is truncated".
    void require(std::string_view wanted);
    [[nodiscard]] std::string const& text() const { return text_; }
    [[nodiscard]] std::size_t number() const { return number_; }
    [[nodiscard]] std::string const& name() const { return name_; }
    [[nodiscard]] std::string place() const { return name_ + ":" + std::to_string(number_) + ": "; }
    /// @throws data_error with the place in front.
    [[noreturn]] void fail(std::string const& message) const;

  private:
    std::istream& in_;
    std::string name_, text_;
    std::size_t number_ = 0;
};

/// Words between blanks and tabs.
std::vector<std::string_view> fields_of(std::string_view line);

/// A whole word as a number. @throws data_error naming the line, what was wanted and the word.
double number_of(LineReader const& lines, std::string_view word, std::string_view what);

/// The same for a count from `minimum` to one hundred million.
std::size_t count_of(LineReader const& lines, std::string_view word, std::string_view what, std::size_t minimum = 0);

} // namespace tape
