#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace tape::cli {

/// What an option takes; decides parsing, range checks and how help shows it.
enum class Kind { flag, text, integer, real, list };

/// One row of a program's option table. Help text, man page and completion come from this table alone.
struct Option {
    std::string name;                 ///< long name without dashes; a positional argument if it starts with '<'
    Kind kind = Kind::text;
    std::string default_value;        ///< as typed; empty = none
    std::string help;                 ///< one sentence, lower-case start, no full stop
    std::string group = "Options";
    std::string placeholder = {};     ///< "FILE", "N", ...; derived from kind when empty
    std::vector<std::string> choices = {}; ///< allowed values of text and list options
    std::optional<double> minimum = {}, maximum = {};
    char short_name = 0;
    bool required = false;
};

/// A program: name, one-line purpose, usage line, table, examples, notes.
struct Program {
    std::string name, purpose, usage;
    std::vector<Option> options;
    std::vector<std::string> examples = {};
    std::string notes = {};
};

/// Parsed command line.
class Arguments {
  public:
    [[nodiscard]] bool has(std::string const& name) const; ///< given on the command line
    [[nodiscard]] bool flag(std::string const& name) const;
    [[nodiscard]] std::string text(std::string const& name) const;
    [[nodiscard]] std::int64_t integer(std::string const& name) const;
    [[nodiscard]] double real(std::string const& name) const;
    [[nodiscard]] std::vector<std::string> list(std::string const& name) const; ///< comma separated
    [[nodiscard]] std::vector<std::string> const& positional() const { return positional_; }
    [[nodiscard]] std::vector<std::string> const& argv() const { return argv_; }

    std::map<std::string, std::string> values_;
    std::map<std::string, bool> given_;
    std::vector<std::string> positional_, argv_;
};

/// The options that every program has: --threads, --seed, --quiet, --force, --dry-run, --help, --version.
std::vector<Option> common_options();
/// --device auto|cpu|cuda
Option device_option();

/// Runs a program: parses (no guessing of abbreviations; unknown options name the closest one), handles --help,
/// --version, --print-completion and --print-man, calls `body`, prints errors as "NAME: message" with their causes, and
/// returns the exit code. Usage errors point to --help.
int run(Program const& program, int argc, char const* const* argv, std::function<void(Arguments const&)> const& body);

/// The help text of a program, as --help prints it.
std::string help_text(Program const& program);
/// A man page in roff.
std::string man_page(Program const& program);
/// A bash completion script.
std::string bash_completion(Program const& program);

} // namespace tape::cli
