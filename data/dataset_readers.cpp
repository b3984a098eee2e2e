#include "data/dataset.hpp"
#include "data/error.hpp"
#include "data/example_builder.hpp"
#include "data/hash.hpp"
#include "data/io.hpp"
#include "data/text.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <concepts>
#include <ostream>
#include <unordered_map>

namespace tape {
namespace {

/// Walks the lines of a text: numbers from 1, line ends of either kind removed.
class Lines {
  public:
    explicit Lines(std::string_view text) : rest_{text} {}
    bool next() {
        if (rest_.empty()) return false;
        std::size_t const end = std::min(rest_.find('\n'), rest_.size());
        line = rest_.substr(0, end);
        rest_.remove_prefix(std::min(end + 1, rest_.size()));
        if (line.ends_with('\r')) line.remove_suffix(1);
        ++number;
        return true;
    }
    std::string_view line;
    std::size_t number = 0;

  private:
    std::string_view rest_;
};

/// Cells of one CSV line (RFC 4180 without line breaks inside quotes). False if a quote is left open.
bool split_cells(std::string_view line, std::vector<std::string>& cells) {
    cells.clear();
    cells.emplace_back();
    if (line.find('"') == std::string_view::npos) {
        for (std::size_t comma; (comma = line.find(',')) != std::string_view::npos; line.remove_prefix(comma + 1)) {
            cells.back() = line.substr(0, comma);
            cells.emplace_back();
        }
        cells.back() = line;
        return true;
    }
    bool inside = false;
    for (std::size_t i = 0; i < line.size(); ++i) {
        if (inside && line[i] == '"' && i + 1 < line.size() && line[i + 1] == '"')
            cells.back() += line[i++];
        else if (line[i] == '"')
            inside = !inside;
        else if (line[i] == ',' && !inside)
            cells.emplace_back();
        else
            cells.back() += line[i];
    }
    return !inside;
}

/// Shared by both layouts: duplicate ids and records to leave out.
class Collector {
  public:
    Collector(Dataset& dataset, DatasetOptions const& options, std::string name)
        : dataset_{dataset}, options_{options}, name_{std::move(name)} {}

    [[nodiscard]] std::string where(std::size_t line) const { return name_ + ":" + std::to_string(line); }

    template <typename Read> void record(std::size_t line, Read read) {
        try {
            Example example = read();
            auto const [first, fresh] = ids_.try_emplace(example.protein.id, line);
            if (!fresh)
                throw data_error{where(line) + ": duplicate id " + shown(example.protein.id) + ", first seen on line " +
                                 std::to_string(first->second) + "; ids must be unique"};
            dataset_.examples.push_back(std::move(example));
        } catch (error const& problem) {
            if (!options_.skip_bad_record) throw;
            options_.skip_bad_record(describe(problem));
        }
    }

  private:
    Dataset& dataset_;
    DatasetOptions const& options_;
    std::string name_;
    std::unordered_map<std::string, std::size_t> ids_; ///< id -> line
};

void check_header(Task const& task, std::vector<std::string> const& columns, std::string const& where) {
    for (std::size_t i = 0; i < columns.size(); ++i)
        if (std::find(columns.begin(), columns.begin() + static_cast<std::ptrdiff_t>(i), columns[i]) !=
            columns.begin() + static_cast<std::ptrdiff_t>(i))
            throw data_error{where + ": column " + shown(columns[i]) + " stands twice in the header"};
    auto const present = [&columns](std::string const& name) {
        return std::ranges::find(columns, name) != columns.end();
    };
    for (std::string const& wanted : required_columns(task)) {
        if (present(wanted)) continue;
        throw data_error{where + ": column " + shown(wanted) + " is missing; task " + shown(task.name) + " needs " +
                         joined(required_columns(task)) + ", the header has " + shown(joined(columns), 200) +
                         did_you_mean(wanted, columns)};
    }
    // A misspelt optional column would silently become an attribute.
    for (std::string const& wanted : optional_columns(task))
        for (std::string const& column : columns)
            if (!present(wanted) && edit_distance(wanted, column) <= 2)
                throw data_error{where + ": column " + shown(column) + " is unknown" +
                                 did_you_mean(column, optional_columns(task))};
}

void read_csv(Dataset& dataset, std::string_view text, std::string const& name, DatasetOptions const& options) {
    Collector collector{dataset, options, name};
    Lines lines{text};
    std::vector<std::string> columns, cells;
    lines.next();
    if (!split_cells(lines.line, columns))
        throw data_error{collector.where(1) + ": a quote is left open in the header"};
    check_header(dataset.task, columns, collector.where(1));
    while (lines.next()) {
        if (lines.line.empty()) continue;
        std::string const where = collector.where(lines.number);
        collector.record(lines.number, [&] {
            if (!split_cells(lines.line, cells))
                throw data_error{where + ": a quote is left open: " + shown(lines.line)};
            if (cells.size() != columns.size())
                throw data_error{where + ": " + counted(cells.size(), "column") + " where the header has " +
                                 std::to_string(columns.size()) + " (record " + shown(cells[0]) + ")"};
            ExampleBuilder builder{dataset.task, where};
            for (std::size_t i = 0; i < columns.size(); ++i)
                if (columns[i] == "id") builder.text("id", cells[i]);
            for (std::size_t i = 0; i < columns.size(); ++i)
                if (columns[i] != "id") builder.text(columns[i], cells[i]);
            return builder.finish();
        });
    }
}

void append_numbers(nlohmann::json const& value, std::vector<double>& out, int depth = 0) {
    if (value.is_number() || value.is_boolean())
        out.push_back(value.is_boolean() ? value.get<bool>() : value.get<double>());
    else if (value.is_null())
        out.push_back(NAN);
    else if (value.is_array() && depth < 3)
        for (auto const& part : value) append_numbers(part, out, depth + 1);
    else
        throw data_error{"holds " + shown(value.dump()) + "; expected numbers"};
}

} // namespace

Example example_from_json(Task const& task, nlohmann::json const& record, std::string const& where) {
    if (!record.is_object()) throw data_error{where + ": " + shown(record.dump()) + " is no JSON object"};
    ExampleBuilder builder{task, where};
    std::vector<double> numbers;
    auto const add = [&](std::string const& key, nlohmann::json const& value) {
        bool const part_of_task =
            std::ranges::count(required_columns(task), key) + std::ranges::count(optional_columns(task), key) > 0;
        if (value.is_string()) return builder.text(key, value.get_ref<std::string const&>());
        if (key == "id") return builder.text(key, value.dump());
        if (!part_of_task) return builder.text(key, value.dump());
        numbers.clear();
        try {
            append_numbers(value, numbers);
        } catch (data_error const& problem) {
            throw data_error{where + ": field " + shown(key) + " " + problem.what()};
        }
        builder.numbers(key, numbers);
    };
    if (record.contains("id")) add("id", record["id"]);
    for (auto const& [key, value] : record.items())
        if (key != "id") add(key, value);
    return builder.finish();
}

namespace {

void read_jsonl(Dataset& dataset, std::string_view text, std::string const& name, DatasetOptions const& options) {
    Collector collector{dataset, options, name};
    for (Lines lines{text}; lines.next();) {
        if (lines.line.empty()) continue;
        std::string const where = collector.where(lines.number);
        collector.record(lines.number, [&] {
            nlohmann::json const record = nlohmann::json::parse(lines.line, nullptr, false);
            if (record.is_discarded()) throw data_error{where + ": no valid JSON: " + shown(lines.line)};
            return example_from_json(dataset.task, record, where);
        });
    }
}

/// One array of the objects that JSONL has one a line; records are counted from 1 instead of lines.
void read_json_array(Dataset& dataset, std::string_view text, std::string const& name, DatasetOptions const& options) {
    Collector collector{dataset, options, name};
    nlohmann::json const records = nlohmann::json::parse(text, nullptr, false);
    if (!records.is_array()) throw data_error{name + ": no valid JSON array"};
    for (std::size_t k = 0; k < records.size(); ++k)
        collector.record(k + 1, [&] {
            return example_from_json(dataset.task, records[k], name + ", record " + std::to_string(k + 1));
        });
}

void add_object(TextColumns& columns, nlohmann::json const& record, std::string const& place) {
    std::size_t const before = columns.places.size();
    for (auto const& [key, value] : record.items()) {
        auto& column = columns.values[key];
        column.resize(before);
        column.push_back(value.is_string() ? value.get<std::string>() : value.dump());
    }
    columns.places.push_back(place);
}

/// The fewest digits that restore the value. Minus zero is zero: JSON's "-0" is a whole number and has no sign.
std::string shortest(std::floating_point auto value) {
    char digits[40];
    return {digits, std::to_chars(digits, digits + sizeof digits, value == 0 ? decltype(value){0} : value).ptr};
}

std::string label_text(Dataset const& dataset, Example const& example) {
    switch (dataset.task.kind) {
    case TaskKind::residue_class: {
        std::string letters;
        for (auto const label : example.residue_labels)
            letters += label < 0 ? '-' : dataset.task.class_names[static_cast<std::size_t>(label)][0];
        return letters;
    }
    case TaskKind::protein_class:
        return std::to_string(example.class_label);
    case TaskKind::protein_value:
        return shortest(example.value);
    case TaskKind::residue_pair:
        break;
    }
    throw usage_error{"task " + shown(dataset.task.name) +
                      " has a coordinate a residue, which CSV cannot hold; write .jsonl"};
}

std::string mask_text(Example const& example) {
    std::string flags;
    for (auto const flag : example.valid_mask) flags += static_cast<char>('0' + flag);
    return flags;
}

std::string csv_cell(std::string const& value) {
    if (value.find_first_of(",\"\r\n") == std::string::npos) return value;
    if (value.find_first_of("\r\n") != std::string::npos)
        throw data_error{"value " + shown(value) + " holds a line break, which CSV here cannot; write .jsonl"};
    std::string cell = "\"";
    for (char const letter : value) cell += letter == '"' ? std::string{"\"\""} : std::string{letter};
    return cell + "\"";
}

std::vector<std::string> attribute_names(Dataset const& dataset) {
    std::map<std::string, int> names;
    for (Example const& example : dataset.examples)
        for (auto const& [name, value] : example.attributes) names[name] = 1;
    std::vector<std::string> sorted;
    for (auto const& [name, one] : names) sorted.push_back(name);
    return sorted;
}

void write_csv(std::ostream& out, Dataset const& dataset) {
    bool const mask = dataset.task.kind == TaskKind::residue_class;
    auto const attributes = attribute_names(dataset);
    out << "id,primary," << label_column(dataset.task) << (mask ? ",valid_mask" : "");
    for (auto const& name : attributes) out << ',' << csv_cell(name);
    out << '\n';
    for (Example const& example : dataset.examples) {
        out << csv_cell(example.protein.id) << ',' << example.protein.residues << ',' << label_text(dataset, example);
        if (mask) out << ',' << mask_text(example);
        for (auto const& name : attributes) {
            auto const found = example.attributes.find(name);
            out << ',' << (found == example.attributes.end() ? "" : csv_cell(found->second));
        }
        out << '\n';
    }
}

void write_positions(std::ostream& out, char const* name, std::vector<std::array<float, 3>> const& positions) {
    out << ",\"" << name << "\":[";
    for (std::size_t i = 0; i < positions.size(); ++i)
        out << (i > 0 ? ",[" : "[") << shortest(positions[i][0]) << ',' << shortest(positions[i][1]) << ','
            << shortest(positions[i][2]) << ']';
    out << ']';
}

void write_jsonl(std::ostream& out, Dataset const& dataset) {
    auto const text = [](std::string const& value) { return nlohmann::json(value).dump(); };
    for (Example const& example : dataset.examples) {
        out << "{\"id\":" << text(example.protein.id) << ",\"primary\":" << text(example.protein.residues);
        if (dataset.task.kind == TaskKind::residue_pair) {
            write_positions(out, "tertiary_ca", example.ca);
            if (!example.cb.empty()) write_positions(out, "tertiary_cb", example.cb);
        } else {
            bool const quote = dataset.task.kind == TaskKind::residue_class;
            out << ",\"" << label_column(dataset.task) << "\":" << (quote ? "\"" : "") << label_text(dataset, example)
                << (quote ? "\"" : "");
        }
        if (!example.valid_mask.empty()) out << ",\"valid_mask\":\"" << mask_text(example) << '"';
        for (auto const& [name, value] : example.attributes) out << ',' << text(name) << ':' << text(value);
        out << "}\n";
    }
}

} // namespace

Dataset read_dataset(Task const& task, std::string const& split, std::filesystem::path const& file,
                     DatasetOptions const& options) {
    std::string const text = read_text(file), name = file == "-" ? "<stdin>" : file.string();
    Dataset dataset{task, split, content_hash(text), {}};
    std::string_view body = text;
    if (body.starts_with("\xef\xbb\xbf")) body.remove_prefix(3); // byte order mark, as spreadsheets write it
    std::size_t const first = body.find_first_not_of(" \t\r\n");
    if (first == std::string_view::npos)
        throw data_error{name + ": is empty; expected CSV with a header line, or JSONL"};
    if (body[first] == '{')
        read_jsonl(dataset, body, name, options);
    else if (body[first] == '[')
        read_json_array(dataset, body, name, options);
    else
        read_csv(dataset, body, name, options);
    if (!task.label.empty())
        std::erase_if(dataset.examples, [&](Example& example) {
            bool const other = example.attributes["split"] != split;
            example.attributes.erase("split");
            return other;
        });
    if (dataset.examples.empty()) throw data_error{name + ": no records"};
    return dataset;
}

TextColumns read_text_columns(std::filesystem::path const& file) {
    std::string const text = read_text(file), name = file.string();
    std::string_view body = text;
    if (body.starts_with("\xef\xbb\xbf")) body.remove_prefix(3);
    std::size_t const first = body.find_first_not_of(" \t\r\n");
    if (first == std::string_view::npos)
        throw data_error{name + ": is empty; expected CSV with a header line, or JSON"};
    TextColumns columns{.header = name, .values = {}, .places = {}};
    if (body[first] == '[') {
        auto const records = nlohmann::json::parse(body, nullptr, false);
        if (!records.is_array()) throw data_error{name + ": no valid JSON array"};
        for (std::size_t k = 0; k < records.size(); ++k) {
            std::string const place = name + ", record " + std::to_string(k + 1);
            if (!records[k].is_object())
                throw data_error{place + ": " + shown(records[k].dump()) + " is no JSON object"};
            add_object(columns, records[k], place);
        }
    } else if (body[first] == '{') {
        for (Lines lines{body}; lines.next();) {
            if (lines.line.empty()) continue;
            std::string const place = name + ":" + std::to_string(lines.number);
            auto const record = nlohmann::json::parse(lines.line, nullptr, false);
            if (!record.is_object()) throw data_error{place + ": no valid JSON: " + shown(lines.line)};
            add_object(columns, record, place);
        }
    } else {
        columns.header = name + ":1";
        Lines lines{body};
        std::vector<std::string> names, cells;
        lines.next();
        if (!split_cells(lines.line, names)) throw data_error{name + ":1: a quote is left open in the header"};
        for (auto const& column : names) columns.values[column];
        while (lines.next()) {
            if (lines.line.empty()) continue;
            std::string const where = name + ":" + std::to_string(lines.number);
            if (!split_cells(lines.line, cells))
                throw data_error{where + ": a quote is left open: " + shown(lines.line)};
            if (cells.size() != names.size())
                throw data_error{where + ": " + counted(cells.size(), "column") + " where the header has " +
                                 std::to_string(names.size()) + " (record " + shown(cells[0]) + ")"};
            for (std::size_t i = 0; i < names.size(); ++i) columns.values[names[i]].push_back(cells[i]);
            columns.places.push_back(where);
        }
    }
    for (auto& [column, values] : columns.values) values.resize(columns.places.size());
    return columns;
}

void write_dataset(std::ostream& out, Dataset const& dataset, bool as_jsonl) {
    if (as_jsonl)
        write_jsonl(out, dataset);
    else
        write_csv(out, dataset);
}

} // namespace tape
