#include "data/own_task.hpp"

#include "data/error.hpp"
#include "data/example_builder.hpp"
#include "data/text.hpp"

#include <algorithm>
#include <cctype>
#include <set>
#include <utility>

namespace tape {

namespace {

struct Shape {
    char const* column;
    TaskKind kind;
    char const* metric;
};
constexpr Shape shapes[] = {{"value", TaskKind::protein_value, "Spearman"},
                            {"class", TaskKind::protein_class, "accuracy"},
                            {"labels", TaskKind::residue_class, "accuracy"},
                            {"contacts", TaskKind::residue_pair, "P@L/5"}};

/// Name of the file without folder and extensions.
std::string stem_of(std::filesystem::path const& file) {
    std::string const name = file.filename().string();
    return name.substr(0, name.find('.', 1));
}

/// What the file has instead of a column, and the usual reason.
std::string seen_columns(TextColumns const& columns) {
    std::vector<std::string> names;
    for (auto const& [name, values] : columns.values) names.push_back(name);
    std::string text = "; it has " + shown(joined(names), 200);
    if (names.size() != 1) return text;
    for (auto const& [separator, word] : {std::pair{';', "semicolons"}, {'\t', "tabs"}})
        if (names[0].find(separator) != std::string::npos)
            text += std::string{": separate columns by commas, not by "} + word;
    return text;
}

Shape const& shape_of(TextColumns const& columns) {
    Shape const* found = nullptr;
    for (auto const& shape : shapes) {
        if (!columns.values.contains(shape.column)) continue;
        if (found != nullptr)
            throw data_error{columns.header + ": columns " + shown(found->column) + " and " + shown(shape.column) +
                             " both name a label; a task has one: value, class, labels or contacts"};
        found = &shape;
    }
    if (found == nullptr)
        throw data_error{columns.header +
                         ": no column says what to predict; name one value, class, labels or contacts" +
                         seen_columns(columns)};
    return *found;
}

bool is_number(std::string const& text) {
    return !text.empty() && text.size() < 9 &&
           std::ranges::all_of(text, [](unsigned char c) { return std::isdigit(c) != 0; });
}

/// Distinct names; whole numbers by value, else by letter.
std::vector<std::string> distinct_names(std::vector<std::string> const& values) {
    std::set<std::string> const distinct{values.begin(), values.end()};
    std::vector<std::string> names{distinct.begin(), distinct.end()};
    if (std::ranges::all_of(names, is_number))
        std::ranges::stable_sort(names, {}, [](std::string const& name) { return std::stol(name); });
    return names;
}

std::vector<std::string> distinct_letters(std::vector<std::string> const& values) {
    std::set<char> letters;
    for (auto const& value : values) letters.insert(value.begin(), value.end());
    letters.erase('-');
    std::vector<std::string> names;
    for (char const letter : letters) names.emplace_back(1, letter);
    return names;
}

void check_splits(TextColumns const& columns, std::string const& where) {
    if (!columns.values.contains("split"))
        throw data_error{columns.header + ": column 'split' is missing; give train, valid or test for each record" +
                         seen_columns(columns)};
    std::set<std::string> seen;
    auto const& values = columns.values.at("split");
    auto const ids = columns.values.find("id");
    for (std::size_t i = 0; i < values.size(); ++i) {
        if (values[i] != "train" && values[i] != "valid" && values[i] != "test")
            throw data_error{columns.places[i] + ": column 'split' is " + shown(values[i]) +
                             "; expected train, valid or test" +
                             (ids == columns.values.end() ? "" : " (record " + shown(ids->second[i]) + ")")};
        seen.insert(values[i]);
    }
    for (auto const* split : {"train", "valid", "test"})
        if (!seen.contains(split))
            throw data_error{where + ": no record of split " + shown(split) +
                             "; every task needs some to train on, some to choose by and some to test on"};
}

} // namespace

Task own_task(std::filesystem::path const& file) {
    std::string const where = file.string();
    auto const columns = read_text_columns(file);
    Shape const& shape = shape_of(columns);
    check_splits(columns, where);
    Task task;
    task.name = stem_of(file);
    for (auto const& bundled : bundled_tasks())
        if (bundled.name == task.name)
            throw usage_error{where + ": a task of the benchmark is called " + shown(task.name) + "; rename the file"};
    task.title = task.name + " (" + shape.metric + ")";
    task.kind = shape.kind;
    task.metric = shape.metric;
    task.train = "train", task.valid = "valid", task.test = "test";
    task.label = shape.column;
    task.file = file;
    auto const& labels = columns.values.at(shape.column);
    if (shape.kind == TaskKind::protein_class) task.class_names = distinct_names(labels);
    if (shape.kind == TaskKind::residue_class) task.class_names = distinct_letters(labels);
    task.class_count = static_cast<int>(task.class_names.size());
    bool const classes = shape.kind == TaskKind::protein_class || shape.kind == TaskKind::residue_class;
    if (classes && task.class_count < 2)
        throw data_error{where + ": column " + shown(shape.column) + " has " +
                         counted(task.class_names.size(), "class") + "; at least two are needed"};
    return task;
}

bool is_task_file(std::string const& word) {
    std::error_code ignored;
    if (std::filesystem::is_regular_file(word, ignored) || word.find('/') != std::string::npos) return true;
    for (auto const* ending : {".csv", ".json", ".jsonl", ".gz", ".xz", ".zst"})
        if (word.ends_with(ending)) return true;
    return false;
}

} // namespace tape
