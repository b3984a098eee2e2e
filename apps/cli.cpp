#include "apps/cli.hpp"

#include "data/error.hpp"
#include "data/text.hpp"

#include <boost/program_options.hpp>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <iostream>
#include <limits>
#include <new>
#include <sstream>
#include <utility>

namespace tape::cli {
namespace {

namespace po = boost::program_options;

constexpr char const* positional_key = "positional arguments"; // no option can have this name

bool is_positional(Option const& option) { return option.name.starts_with('<'); }

/// How messages name it: "--threads" or "<query>".
std::string label(Option const& option) { return is_positional(option) ? option.name : "--" + option.name; }

std::string placeholder(Option const& option) {
    if (!option.placeholder.empty()) return option.placeholder;
    switch (option.kind) {
    case Kind::flag:
        return "";
    case Kind::integer:
        return "N";
    case Kind::real:
        return "X";
    case Kind::list:
        return option.choices.empty() ? "A,B,..." : "LIST";
    case Kind::text:
        break;
    }
    std::string alternatives;
    for (auto const& choice : option.choices) alternatives += (alternatives.empty() ? "" : "|") + choice;
    return alternatives.empty() || alternatives.size() > 40 ? "TEXT" : alternatives;
}

/// The table with the options every program has behind its own, unless the program lists them itself.
std::vector<Option> full_table(Program const& program) {
    std::vector<Option> table = program.options;
    for (Option const& common : common_options())
        if (std::ranges::none_of(table, [&common](Option const& option) { return option.name == common.name; }))
            table.push_back(common);
    return table;
}

std::string digits(double value) {
    char text[40];
    bool const whole = value == std::floor(value) && std::abs(value) < 1e15; // 100000, not 1e+05
    return {text, (whole ? std::to_chars(text, text + sizeof text, static_cast<std::int64_t>(value))
                         : std::to_chars(text, text + sizeof text, value))
                      .ptr};
}

/// "0 or more", "1 to 64", "at most 5"; empty without limits.
std::string range_text(Option const& option) {
    if (option.minimum && option.maximum) return digits(*option.minimum) + " to " + digits(*option.maximum);
    if (option.minimum) return digits(*option.minimum) + " or more";
    if (option.maximum) return "at most " + digits(*option.maximum);
    return "";
}

std::vector<std::string> split_list(Option const& option, std::string const& value) {
    std::vector<std::string> items;
    if (value.empty()) return items;
    for (std::size_t begin = 0;;) {
        std::size_t const end = std::min(value.find(',', begin), value.size());
        items.push_back(value.substr(begin, end - begin));
        if (items.back().empty()) throw usage_error{label(option) + ": empty entry in " + shown(value)};
        if (end == value.size()) return items;
        begin = end + 1;
    }
}

template <typename Number> Number parse_number(Option const& option, std::string const& value) {
    Number number{};
    char const* const end = value.data() + value.size();
    char const* const begin = value.starts_with('+') ? value.data() + 1 : value.data();
    auto const [stop, problem] = std::from_chars(begin, end, number);
    bool const whole = std::is_integral_v<Number>;
    if (problem == std::errc::result_out_of_range)
        throw usage_error{label(option) + ": " + value + " is out of range" +
                          (range_text(option).empty() ? "" : "; expected " + range_text(option))};
    if (problem != std::errc{} || stop != end || !std::isfinite(static_cast<double>(number)))
        throw usage_error{label(option) + ": expected a " + (whole ? "whole " : "") + "number, saw " + shown(value)};
    double const wide = static_cast<double>(number);
    if (option.minimum && wide < *option.minimum)
        throw usage_error{label(option) + ": expected " + digits(*option.minimum) + " or more, saw " + value};
    if (option.maximum && wide > *option.maximum)
        throw usage_error{label(option) + ": expected at most " + digits(*option.maximum) + ", saw " + value};
    return number;
}

void check_choice(Option const& option, std::string const& value) {
    if (option.choices.empty() || std::ranges::find(option.choices, value) != option.choices.end()) return;
    throw usage_error{label(option) + ": expected " + joined(option.choices, "or") + ", saw " + shown(value) +
                      did_you_mean(value, option.choices)};
}

void check_value(Option const& option, std::string const& value) {
    switch (option.kind) {
    case Kind::flag:
        return;
    case Kind::integer:
        static_cast<void>(parse_number<std::int64_t>(option, value));
        return;
    case Kind::real:
        static_cast<void>(parse_number<double>(option, value));
        return;
    case Kind::text:
        check_choice(option, value);
        return;
    case Kind::list:
        if (is_positional(option)) return check_choice(option, value);
        for (auto const& item : split_list(option, value)) check_choice(option, item);
    }
}

po::options_description describe_to_boost(std::vector<Option> const& table) {
    po::options_description description;
    for (Option const& option : table) {
        if (is_positional(option)) continue;
        std::string const names = option.name + (option.short_name ? std::string{","} + option.short_name : "");
        if (option.kind == Kind::flag)
            description.add_options()(names.c_str(), "");
        else
            description.add_options()(names.c_str(), po::value<std::string>(), "");
    }
    description.add_options()(positional_key, po::value<std::vector<std::string>>(), "");
    return description;
}

std::string without_dashes(std::string const& token) {
    return token.substr(std::min(token.find_first_not_of('-'), token.size()));
}

[[noreturn]] void throw_unknown(std::string const& token, std::vector<Option> const& table) {
    std::vector<std::string> names;
    for (Option const& option : table)
        if (!is_positional(option)) names.push_back("--" + option.name);
    std::string const typed = token.substr(0, token.find('='));
    throw usage_error{"unknown option " + shown(typed) + did_you_mean("--" + without_dashes(typed), names)};
}

/// Boost's own messages name no values; these do.
po::parsed_options parse_tokens(std::vector<Option> const& table, std::vector<std::string> const& tokens) {
    namespace style = po::command_line_style;
    auto const description = describe_to_boost(table);
    po::positional_options_description positions;
    positions.add(positional_key, -1);
    try {
        return po::command_line_parser{tokens}
            .options(description)
            .positional(positions)
            .style(style::unix_style & ~style::allow_guessing)
            .run();
    } catch (po::unknown_option const& problem) {
        throw_unknown(problem.get_option_name(), table);
    } catch (po::invalid_command_line_syntax const& problem) {
        std::string const name = "--" + without_dashes(problem.get_option_name());
        if (problem.kind() == po::invalid_syntax::missing_parameter) throw usage_error{name + ": expected a value"};
        if (problem.kind() == po::invalid_syntax::extra_parameter) throw usage_error{name + ": takes no value"};
        if (problem.kind() == po::invalid_syntax::empty_adjacent_parameter)
            throw usage_error{name + ": expected a value behind '='"};
        throw usage_error{problem.what()};
    } catch (po::error const& problem) {
        throw usage_error{problem.what()};
    }
}

void assign_positional(std::vector<Option> const& table, Arguments& arguments) {
    std::size_t next = 0;
    auto const& given = arguments.positional_;
    for (Option const& option : table) {
        if (!is_positional(option)) continue;
        do {
            if (next == given.size()) break;
            check_value(option, given[next]);
            auto& value = arguments.values_[option.name];
            if (arguments.given_[option.name])
                value += "," + given[next];
            else
                value = given[next];
            arguments.given_[option.name] = true;
            ++next;
        } while (option.kind == Kind::list);
    }
    if (next < given.size()) throw usage_error{"unexpected argument " + shown(given[next])};
}

Arguments parse(Program const& program, int argc, char const* const* argv) {
    auto const table = full_table(program);
    Arguments arguments;
    arguments.argv_.assign(argv, argv + argc);
    for (Option const& option : table)
        arguments.values_[option.name] = option.kind == Kind::flag ? "" : option.default_value;
    std::vector<std::string> const tokens(argv + std::min(argc, 1), argv + argc);
    for (auto const& token : parse_tokens(table, tokens).options) {
        if (token.string_key == positional_key) {
            arguments.positional_.insert(arguments.positional_.end(), token.value.begin(), token.value.end());
            continue;
        }
        auto const option = std::ranges::find(table, token.string_key, &Option::name);
        if (option == table.end()) throw_unknown(token.string_key, table);
        bool& given = arguments.given_[option->name];
        if (given && option->kind != Kind::flag) throw usage_error{label(*option) + ": given more than once"};
        given = true;
        if (option->kind == Kind::flag) continue;
        arguments.values_[option->name] = token.value.empty() ? "" : token.value[0];
        check_value(*option, arguments.values_[option->name]);
    }
    assign_positional(table, arguments);
    for (Option const& option : table)
        if (option.required && !arguments.given_[option.name])
            throw usage_error{"missing " + label(option) + (is_positional(option) ? "" : " " + placeholder(option))};
    return arguments;
}

/// The text that one of the informing options asks for; these work without any of the required arguments.
std::optional<std::string> information(Program const& program, int argc, char const* const* argv) {
    for (int i = 1; i < argc; ++i) {
        std::string_view const token = argv[i];
        if (token == "--") break;
        if (token == "--help" || token == "-h") return help_text(program);
        if (token == "--version") return program.name + " " + TAPE_VERSION + "\n";
        if (token == "--print-man") return man_page(program);
        if (token == "--print-completion") return bash_completion(program);
    }
    return std::nullopt;
}

void flush_stdout() {
    std::cout.flush();
    if (!std::cout || std::fflush(stdout) != 0) throw error{"cannot write to standard output"};
}

void report(Program const& program, std::string const& message) {
    std::cout.flush();
    std::cerr << program.name << ": " << message << std::endl;
}

// Layout of the help text
// ----------------------------------------------------------------------------------------------

constexpr std::size_t help_width = 100, help_column = 30;

std::string left_side(Option const& option) {
    if (is_positional(option)) return "  " + option.name + (option.kind == Kind::list ? "..." : "");
    std::string text = option.short_name ? std::string{"  -"} + option.short_name + ", " : "      ";
    text += "--" + option.name;
    if (option.kind != Kind::flag) text += " " + placeholder(option);
    return text;
}

std::string right_side(Option const& option) {
    std::string remarks;
    auto const add = [&remarks](std::string const& remark) { remarks += (remarks.empty() ? "" : "; ") + remark; };
    if (option.required) add("required");
    if (option.choices.size() > 1 && placeholder(option).find('|') == std::string::npos)
        add("one of " + joined(option.choices, "or"));
    if (!range_text(option).empty()) add(range_text(option));
    if (!option.default_value.empty()) add("default " + option.default_value);
    return option.help + (remarks.empty() ? "" : " [" + remarks + "]");
}

std::string wrapped(std::string const& text, std::size_t indent, std::size_t width) {
    std::istringstream words{text};
    std::string out, word;
    std::size_t column = indent;
    while (words >> word) {
        if (column > indent && column + 1 + word.size() > width) {
            out += "\n" + std::string(indent, ' ');
            column = indent;
        }
        if (column > indent) out += ' ', ++column;
        out += word;
        column += word.size();
    }
    return out;
}

std::vector<std::string> groups_of(std::vector<Option> const& table) {
    std::vector<std::string> groups;
    for (Option const& option : table)
        if (std::ranges::find(groups, option.group) == groups.end()) groups.push_back(option.group);
    return groups;
}

std::string roff(std::string const& text) {
    std::string out;
    for (char const letter : text) {
        if (letter == '\\')
            out += "\\e";
        else if (letter == '-')
            out += "\\-";
        else
            out += letter;
    }
    if (out.starts_with('.') || out.starts_with('\'')) out.insert(0, "\\&");
    return out;
}

bool takes_file(Option const& option) {
    std::string const name = placeholder(option);
    return name.find("FILE") != std::string::npos || name.find("DIR") != std::string::npos ||
           name.find("PATH") != std::string::npos || name.find("DB") != std::string::npos;
}

} // namespace

bool Arguments::has(std::string const& name) const {
    auto const found = given_.find(name);
    return found != given_.end() && found->second;
}

bool Arguments::flag(std::string const& name) const { return has(name); }

std::string Arguments::text(std::string const& name) const {
    auto const found = values_.find(name);
    if (found == values_.end()) throw error{"option '" + name + "' is not in the program's table"};
    return found->second;
}

std::int64_t Arguments::integer(std::string const& name) const {
    return parse_number<std::int64_t>(Option{.name = name, .kind = Kind::integer, .default_value = {}, .help = {}},
                                      text(name));
}

double Arguments::real(std::string const& name) const {
    return parse_number<double>(Option{.name = name, .kind = Kind::real, .default_value = {}, .help = {}}, text(name));
}

std::vector<std::string> Arguments::list(std::string const& name) const {
    return split_list(Option{.name = name, .kind = Kind::list, .default_value = {}, .help = {}}, text(name));
}

std::vector<Option> common_options() {
    std::string const group = "Common options";
    return {
        {.name = "threads",
         .kind = Kind::integer,
         .default_value = "0",
         .help = "worker threads; 0 is every core this process may use",
         .group = group,
         .minimum = 0,
         .maximum = 4096},
        {.name = "seed",
         .kind = Kind::integer,
         .default_value = "0",
         .help = "seed of every random choice",
         .group = group,
         .minimum = 0},
        {.name = "quiet",
         .kind = Kind::flag,
         .default_value = {},
         .help = "no progress and no notes on stderr",
         .group = group,
         .short_name = 'q'},
        {.name = "force", .kind = Kind::flag, .default_value = {}, .help = "overwrite existing output", .group = group},
        {.name = "dry-run",
         .kind = Kind::flag,
         .default_value = {},
         .help = "check everything and say what would be done, write nothing",
         .group = group},
        {.name = "help",
         .kind = Kind::flag,
         .default_value = {},
         .help = "show this help",
         .group = group,
         .short_name = 'h'},
        {.name = "version", .kind = Kind::flag, .default_value = {}, .help = "show the version", .group = group},
        {.name = "print-completion",
         .kind = Kind::flag,
         .default_value = {},
         .help = "print a bash completion script",
         .group = group},
        {.name = "print-man", .kind = Kind::flag, .default_value = {}, .help = "print the manual page", .group = group},
    };
}

Option device_option() {
    return {.name = "device",
            .kind = Kind::text,
            .default_value = "auto",
            .help = "where tensors live; auto takes a GPU if there is one",
            .group = "Common options",
            .choices = {"auto", "cpu", "cuda"}};
}

int run(Program const& program, int argc, char const* const* argv, std::function<void(Arguments const&)> const& body) {
    try {
        if (auto const text = information(program, argc, argv))
            std::cout << *text;
        else
            body(parse(program, argc, argv));
        flush_stdout();
        return static_cast<int>(exit_code::done);
    } catch (std::bad_alloc const&) {
        report(program, "out of memory; give it fewer or shorter sequences, or fewer threads");
        return static_cast<int>(exit_code::failed);
    } catch (std::exception const& problem) {
        report(program, describe(problem));
        exit_code const code = exit_code_of(problem);
        if (code == exit_code::usage) std::cerr << "Try '" << program.name << " --help'." << std::endl;
        return static_cast<int>(code);
    } catch (...) {
        report(program, "stopped by an exception of unknown type");
        return static_cast<int>(exit_code::failed);
    }
}

std::string help_text(Program const& program) {
    auto const table = full_table(program);
    std::string text = program.name + " - " + program.purpose + "\n\nUsage: " + program.usage + "\n";
    for (std::string const& group : groups_of(table)) {
        text += "\n" + group + ":\n";
        for (Option const& option : table) {
            if (option.group != group) continue;
            std::string line = left_side(option);
            if (line.size() + 2 > help_column)
                line += "\n" + std::string(help_column, ' ');
            else
                line.resize(help_column, ' ');
            text += line + wrapped(right_side(option), help_column, help_width) + "\n";
        }
    }
    if (!program.examples.empty()) text += "\nExamples:\n";
    for (std::string const& example : program.examples) text += "  " + example + "\n";
    if (!program.notes.empty()) text += "\n" + program.notes + (program.notes.ends_with('\n') ? "" : "\n");
    return text + "\nExit codes: 0 done, 1 failed, 2 wrong usage, 3 bad input data.\n";
}

std::string man_page(Program const& program) {
    std::string const name = roff(program.name);
    std::string title = program.name;
    std::ranges::transform(title, title.begin(),
                           [](unsigned char letter) { return static_cast<char>(std::toupper(letter)); });
    std::string text = ".TH \"" + roff(title) + "\" 1 \"\" \"tape " TAPE_VERSION "\" \"User Commands\"\n.SH NAME\n" +
                       name + " \\- " + roff(program.purpose) + "\n.SH SYNOPSIS\n" + roff(program.usage) + "\n";
    auto const table = full_table(program);
    for (std::string const& group : groups_of(table)) {
        std::string heading = group;
        std::ranges::transform(heading, heading.begin(),
                               [](unsigned char letter) { return static_cast<char>(std::toupper(letter)); });
        text += ".SH \"" + roff(heading) + "\"\n";
        for (Option const& option : table) {
            if (option.group != group) continue;
            std::string const left = left_side(option);
            text += ".TP\n\\fB" + roff(left.substr(left.find_first_not_of(' '))) + "\\fR\n" + roff(right_side(option)) +
                    "\n";
        }
    }
    if (!program.examples.empty()) text += ".SH EXAMPLES\n.nf\n";
    for (std::string const& example : program.examples) text += roff(example) + "\n";
    if (!program.examples.empty()) text += ".fi\n";
    if (!program.notes.empty()) {
        text += ".SH NOTES\n";
        std::istringstream lines{program.notes};
        bool row = false; // a line of a list, which the next line must not join
        for (std::string line; std::getline(lines, line);) {
            bool const was_row = std::exchange(row, line.starts_with(' '));
            text += line.empty() ? ".PP\n" : (was_row && !row ? ".br\n" : "") + roff(line) + "\n";
        }
    }
    return text + ".SH \"EXIT STATUS\"\n0 done, 1 failed, 2 wrong usage, 3 bad input data.\n";
}

std::string bash_completion(Program const& program) {
    std::string function = "_" + program.name, options, cases, words;
    std::ranges::replace(function, '-', '_');
    for (Option const& option : full_table(program)) {
        std::string choices;
        for (auto const& choice : option.choices) choices += (choices.empty() ? "" : " ") + choice;
        if (is_positional(option)) {
            if (words.empty()) words = choices;
            continue;
        }
        options += (options.empty() ? "--" : " --") + option.name;
        if (option.kind == Kind::flag) continue;
        cases += "        --" + option.name + (option.short_name ? std::string{"|-"} + option.short_name : "") +
                 ")\n            ";
        if (!choices.empty())
            cases += "COMPREPLY=($(compgen -W \"" + choices + "\" -- \"$cur\"))";
        else if (takes_file(option))
            cases += "COMPREPLY=($(compgen -f -- \"$cur\"))";
        else
            cases += "COMPREPLY=()";
        cases += "\n            return ;;\n";
    }
    std::string text = "# bash completion of " + program.name + "; source this file\n" + function + "() {\n";
    text +=
        "    local cur=\"${COMP_WORDS[COMP_CWORD]}\" prev=\"${COMP_WORDS[COMP_CWORD-1]}\"\n    case \"$prev\" in\n" +
        cases;
    text += "    esac\n    if [[ \"$cur\" == -* ]]; then\n        COMPREPLY=($(compgen -W \"" + options +
            "\" -- \"$cur\"))\n    else\n";
    text += "        COMPREPLY=($(compgen -f -- \"$cur\"" +
            (words.empty() ? std::string{} : ") $(compgen -W \"" + words + "\" -- \"$cur\"") + "))\n";
    return text + "    fi\n}\ncomplete -o filenames -F " + function + " " + program.name + "\n";
}

} // namespace tape::cli
