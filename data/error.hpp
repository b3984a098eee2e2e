#pragma once

#include <stdexcept>
#include <string>

namespace tape {

/// Exit codes of every program.
enum class exit_code : int { done = 0, failed = 1, usage = 2, bad_data = 3 };

/// The one error type. The message says what, where (file:line or record id), the value seen and what to do.
///
/// Errors nest: catch one, throw another with `std::throw_with_nested`, and `describe` prints the chain. The exit code
/// is that of the innermost `tape::error`, so adding context never changes it.
class error : public std::runtime_error {
  public:
    explicit error(std::string const& message, exit_code code = exit_code::failed)
        : std::runtime_error{message}, code_{code} {}
    [[nodiscard]] exit_code code() const noexcept { return code_; }

  private:
    exit_code code_;
};

/// Wrong command line: exit code 2.
class usage_error : public error {
  public:
    explicit usage_error(std::string const& message) : error{message, exit_code::usage} {}
};

/// Bad input data (a file, a record, a checkpoint): exit code 3.
class data_error : public error {
  public:
    explicit data_error(std::string const& message) : error{message, exit_code::bad_data} {}
};

/// The outer message, then one indented "caused by: ..." line for each nested error.
std::string describe(std::exception const& problem);

/// Exit code of the innermost `tape::error` of the chain; `failed` if there is none.
exit_code exit_code_of(std::exception const& problem);

/// " (did you mean `x`?)" for the closest candidate within a third of the word's length, else an empty string.
/// O(candidates * length^2).
template <typename Range> std::string did_you_mean(std::string const& word, Range const& candidates);

/// Levenshtein distance; the measure behind `did_you_mean`.
std::size_t edit_distance(std::string const& a, std::string const& b);

template <typename Range> std::string did_you_mean(std::string const& word, Range const& candidates) {
    std::string best;
    std::size_t best_distance = word.size() / 3 + 2;
    for (auto const& candidate : candidates)
        if (std::size_t const d = edit_distance(word, candidate); d < best_distance)
            best_distance = d, best = candidate;
    return best.empty() ? std::string{} : " (did you mean `" + best + "`?)";
}

} // namespace tape
