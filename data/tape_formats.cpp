#include "data/tape_formats.hpp"

#include "data/alphabet.hpp"
#include "data/error.hpp"
#include "data/example_builder.hpp"
#include "data/fasta.hpp"
#include "data/hash.hpp"
#include "data/io.hpp"
#include "data/text.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <istream>
#include <ostream>
#include <set>

namespace tape {
namespace {

std::vector<std::string> const format_names{"csv", "json", "lmdb", "tfrecord", "fasta"};

/// TAPE's Pfam vocabulary: 4 = A ... 28 = Z, without J.
constexpr std::string_view pfam_letters = "ABCDEFGHIKLMNOPQRSTUVWXYZ";
constexpr int pfam_first = 4;
constexpr std::string_view states8 = "GHIBESTC", states3 = "HEC";

std::string letters_of(std::vector<double> const& codes, Task const& task, std::string const& where) {
    bool const proteinnet = task.kind == TaskKind::residue_pair;
    std::string letters;
    for (double const code : codes) {
        double const index = proteinnet ? code : code - pfam_first;
        std::string_view const alphabet = proteinnet ? amino_acids : pfam_letters;
        if (proteinnet && code == -1)
            letters += 'X';
        else if (index >= 0 && index < static_cast<double>(alphabet.size()) && index == std::floor(index))
            letters += alphabet[static_cast<std::size_t>(index)];
        else
            throw data_error{where + ": field 'primary' has code " + std::to_string(code) + "; expected " +
                             (proteinnet ? "ProteinNet's 0-19 or -1" : "TAPE's Pfam vocabulary, 4 (A) to 28 (Z)")};
    }
    return letters;
}

/// Median distance of C-alpha atoms that follow each other and are both resolved; 0 without any.
double median_step(std::vector<double> const& positions, std::vector<double> const& mask) {
    std::vector<double> steps;
    for (std::size_t i = 1; 3 * i + 2 < positions.size(); ++i) {
        if (i < mask.size() && (mask[i] == 0 || mask[i - 1] == 0)) continue;
        double sum = 0;
        for (std::size_t k = 0; k < 3; ++k) sum += std::pow(positions[3 * i + k] - positions[3 * i - 3 + k], 2);
        steps.push_back(std::sqrt(sum));
    }
    if (steps.empty()) return 0;
    std::ranges::nth_element(steps, steps.begin() + static_cast<std::ptrdiff_t>(steps.size() / 2));
    return steps[steps.size() / 2];
}

/// C-alpha positions in angstrom from `tertiary`. Neighbouring C-alpha atoms are 3.8 angstrom apart (2.9 in the rare
/// cis form), which tells angstrom from hundredths (TAPE's records) and from hundredfold values (ProteinNet's
/// picometres).
std::vector<double> positions_of(Record const& record, std::size_t length, std::string const& where) {
    auto const& field = record.at("tertiary").numbers;
    std::vector<double> positions;
    if (field.size() == 9 * length) {
        for (std::size_t i = 0; i < length; ++i)
            positions.insert(positions.end(), field.begin() + static_cast<std::ptrdiff_t>(9 * i + 3),
                             field.begin() + static_cast<std::ptrdiff_t>(9 * i + 6));
    } else if (field.size() == 3 * length) {
        positions = field;
    } else {
        throw data_error{where + ": field 'tertiary' has " + counted(field.size(), "number") + " for " +
                         counted(length, "residue") + "; expected three (C-alpha) or nine (N, C-alpha, C) a residue"};
    }
    auto const mask = record.find("valid_mask");
    double const step = median_step(positions, mask == record.end() ? std::vector<double>{} : mask->second.numbers);
    for (double const scale : {1.0, 100.0, 0.01}) {
        if (step != 0 && (step * scale < 2.8 || step * scale > 4.8)) continue;
        for (double& coordinate : positions) coordinate *= scale;
        return positions;
    }
    throw data_error{where + ": field 'tertiary': the median distance of neighbouring C-alpha atoms is " +
                     std::to_string(step) + "; expected about 3.8 (angstrom), 0.038 or 380"};
}

std::string state_letters(std::vector<double> const& labels, std::string_view states) {
    std::string letters;
    for (double const label : labels) {
        bool const known = label >= 0 && label < static_cast<double>(states.size());
        letters += known ? states[static_cast<std::size_t>(label)] : '-';
    }
    return letters;
}

void check_length(Record const& record, std::size_t length, std::string const& where) {
    auto const given = record.find("protein_length");
    if (given == record.end() || given->second.numbers.size() != 1) return;
    if (given->second.numbers[0] != static_cast<double>(length))
        throw data_error{where + ": field 'protein_length' is " +
                         std::to_string(static_cast<long long>(given->second.numbers[0])) + " for " +
                         counted(length, "residue") + " in 'primary'"};
}

/// TAPE's field names -> ours, through the same checks as every other reader.
Example example_from_record(Task const& task, Record record, std::string const& where, std::size_t index) {
    ExampleBuilder builder{task, where};
    auto const id = record.find("id");
    std::string const name = id == record.end()   ? "record-" + std::to_string(index)
                             : id->second.is_text ? id->second.text
                             : id->second.numbers.size() == 1
                                 ? std::to_string(static_cast<long long>(id->second.numbers[0]))
                                 : "";
    builder.text("id", name);
    auto const primary = record.find("primary");
    if (primary == record.end()) throw data_error{where + ": field 'primary' is missing (record " + shown(name) + ")"};
    std::string const residues =
        primary->second.is_text ? primary->second.text : letters_of(primary->second.numbers, task, where);
    builder.text("primary", residues);
    check_length(record, residues.size(), where);
    if (auto mask = record.extract("mask"); !mask.empty()) mask.key() = "valid_mask", record.insert(std::move(mask));
    if (task.kind == TaskKind::residue_pair) {
        if (record.contains("tertiary")) builder.numbers("tertiary_ca", positions_of(record, residues.size(), where));
        if (!record.contains("valid_mask")) record["valid_mask"] = {false, {}, std::vector<double>(residues.size(), 1)};
    }
    static std::set<std::string> const done{"id", "primary", "protein_length", "tertiary", "evolutionary"};
    for (auto const& [key, field] : record) {
        if (done.contains(key)) continue;
        bool const other_states = task.kind == TaskKind::residue_class && key != label_column(task);
        if (field.is_text)
            builder.text(key, field.text);
        else if (other_states && (key == "ss3" || key == "ss8"))
            builder.text(key, state_letters(field.numbers, key == "ss8" ? states8 : states3));
        else
            builder.numbers(key, field.numbers);
    }
    return builder.finish();
}

RecordField field_from_json(nlohmann::json const& value, std::string const& where, std::string const& key) {
    RecordField field;
    auto const append = [&](auto const& self, nlohmann::json const& part, int depth) -> void {
        if (part.is_number() || part.is_boolean())
            field.numbers.push_back(part.is_boolean() ? part.get<bool>() : part.get<double>());
        else if (part.is_null())
            field.numbers.push_back(NAN);
        else if (part.is_array() && depth < 3)
            for (auto const& inner : part) self(self, inner, depth + 1);
        else
            throw data_error{where + ": field " + shown(key) + " holds " + shown(part.dump()) +
                             "; expected text or numbers"};
    };
    if (value.is_string()) return {true, value.get<std::string>(), {}};
    append(append, value, 0);
    return field;
}

/// Collects examples, skips bad records where asked to, refuses duplicate ids.
class Importer {
  public:
    Importer(Task const& task, std::string const& split, DatasetOptions const& options)
        : dataset{task, split, {}, {}}, options_{options} {}

    template <typename Make> void add(std::string const& where, Make make) {
        std::size_t const index = count_++;
        try {
            Example example = make(index);
            if (!ids_.insert(example.protein.id).second)
                throw data_error{where + ": duplicate id " + shown(example.protein.id) + "; ids must be unique"};
            dataset.examples.push_back(std::move(example));
        } catch (data_error const& problem) {
            if (!options_.skip_bad_record) throw;
            options_.skip_bad_record(describe(problem));
        }
    }
    Dataset dataset;

  private:
    DatasetOptions const& options_;
    std::set<std::string> ids_;
    std::size_t count_ = 0;
};

/// One element of a JSON list as text, and the line it starts on.
struct ListElement {
    std::string_view text;
    std::size_t line = 1;
};

/// Splits a JSON list at its own commas, so that a flaw is found in its record and on its line.
/// @throws data_error if it is no list or is not closed
std::vector<ListElement> elements_of(std::string_view list, std::string const& name) {
    constexpr std::string_view blanks = " \t\r\n";
    std::size_t at = std::min(list.find_first_not_of(blanks), list.size());
    if (at == list.size() || list[at] != '[')
        throw data_error{name + ": expected a JSON list of objects, one a protein"};
    std::vector<ListElement> elements;
    std::size_t line = 1 + static_cast<std::size_t>(std::ranges::count(list.substr(0, at), '\n'));
    std::size_t begin = list.npos, begin_line = line, depth = 1; // npos: no element has begun
    bool in_text = false;
    for (++at; at < list.size() && depth > 0; ++at) {
        char const letter = list[at];
        line += letter == '\n';
        if (in_text) {
            at += letter == '\\';
            in_text = letter != '"';
            continue;
        }
        in_text = letter == '"';
        depth += letter == '[' || letter == '{';
        depth -= letter == ']' || letter == '}';
        bool const ends = depth == 0 || (depth == 1 && letter == ',');
        if (ends && (begin != list.npos || letter == ',' || !elements.empty())) {
            elements.push_back({begin == list.npos ? std::string_view{} : list.substr(begin, at - begin), begin_line});
            begin = list.npos;
        } else if (!ends && begin == list.npos && blanks.find(letter) == blanks.npos) {
            begin = at, begin_line = line;
        }
    }
    if (depth > 0)
        throw data_error{name + ":" + std::to_string(line) +
                         ": the JSON list is not closed; is the file cut short? (after " +
                         counted(elements.size(), "record") + ")"};
    if (std::size_t const more = list.find_first_not_of(blanks, at); more != list.npos)
        throw data_error{name + ":" + std::to_string(line) + ": " + shown(list.substr(more)) + " behind the JSON list"};
    return elements;
}

Record record_from_json(std::string_view text, std::string const& where) {
    auto const value = nlohmann::json::parse(text, nullptr, false);
    if (value.is_discarded()) throw data_error{where + ": no valid JSON: " + shown(text)};
    if (!value.is_object()) throw data_error{where + ": " + shown(text) + " is no JSON object"};
    Record record;
    for (auto const& [key, field] : value.items())
        if (key != "evolutionary") record[key] = field_from_json(field, where, key);
    return record;
}

void import_json(Importer& importer, std::filesystem::path const& file) {
    std::string const text = read_text(file), name = file == "-" ? "<stdin>" : file.string();
    std::size_t number = 0;
    for (auto const& [element, line] : elements_of(text, name)) {
        std::string const where = name + ":" + std::to_string(line) + ": record " + std::to_string(number++);
        importer.add(where, [&, &part = element](std::size_t index) {
            return example_from_record(importer.dataset.task, record_from_json(part, where), where, index);
        });
    }
}

void import_lmdb([[maybe_unused]] Importer& importer, [[maybe_unused]] std::filesystem::path const& file) {
#ifdef TAPE_WITH_LMDB
    for_each_lmdb_record(file, [&importer](std::string_view value, std::string const& where) {
        importer.add(where, [&](std::size_t index) {
            return example_from_record(importer.dataset.task, read_pickled_record(value, where), where, index);
        });
    });
#else
    throw error{"this build cannot read LMDB; configure it with -DTAPE_WITH_IMPORT=ON where liblmdb is installed"};
#endif
}

void import_tfrecord([[maybe_unused]] Importer& importer, [[maybe_unused]] std::filesystem::path const& file) {
#ifdef TAPE_WITH_TFRECORD
    for_each_tfrecord(file, [&importer](Record&& record, std::string const& where) {
        importer.add(where, [&](std::size_t index) {
            return example_from_record(importer.dataset.task, std::move(record), where, index);
        });
    });
#else
    throw error{"this build cannot read TFRecord; configure it with -DTAPE_WITH_IMPORT=ON where protobuf is installed"};
#endif
}

/// "key=value" words, or a lone number that is the label.
Example example_from_fasta(Task const& task, Protein const& protein, std::string const& where) {
    ExampleBuilder builder{task, where};
    builder.text("id", protein.id);
    builder.text("primary", protein.residues);
    std::string_view rest = protein.description;
    while (!rest.empty()) {
        std::size_t const end = std::min(rest.find_first_of(" \t"), rest.size());
        std::string_view const word = rest.substr(0, end);
        rest.remove_prefix(std::min(rest.find_first_not_of(" \t", end), rest.size()));
        std::size_t const equals = word.find('=');
        double number = 0;
        if (equals != std::string_view::npos)
            builder.text(word.substr(0, equals), word.substr(equals + 1));
        else if (word.data() == protein.description.data() &&
                 std::from_chars(word.data(), word.data() + word.size(), number).ptr == word.data() + word.size())
            builder.text(label_column(task), word);
    }
    return builder.finish();
}

void import_fasta(Importer& importer, std::filesystem::path const& file, DatasetOptions const& options) {
    std::string const name = file == "-" ? "<stdin>" : file.string();
    for_each_fasta(
        file,
        [&](Protein&& protein, std::uint64_t line) {
            std::string const where = name + ":" + std::to_string(line);
            importer.add(where, [&](std::size_t) { return example_from_fasta(importer.dataset.task, protein, where); });
        },
        {.skip_bad_record = options.skip_bad_record});
}

bool is_lmdb(std::filesystem::path const& file) {
    std::error_code ignored;
    if (std::filesystem::is_directory(file, ignored)) return std::filesystem::exists(file / "data.mdb", ignored);
    return false;
}

} // namespace

bool format_available([[maybe_unused]] TapeFormat format) {
#ifndef TAPE_WITH_LMDB
    if (format == TapeFormat::lmdb) return false;
#endif
#ifndef TAPE_WITH_TFRECORD
    if (format == TapeFormat::tfrecord) return false;
#endif
    return true;
}

TapeFormat format_named(std::string const& name) {
    auto const found = std::ranges::find(format_names, name);
    if (found == format_names.end())
        throw usage_error{"unknown format " + shown(name) + did_you_mean(name, format_names) + "; the formats are " +
                          joined(format_names)};
    return static_cast<TapeFormat>(found - format_names.begin());
}

TapeFormat detect_format(std::filesystem::path const& file) {
    if (is_lmdb(file)) return TapeFormat::lmdb;
    auto const in = open_input(file);
    std::string head(4096, '\0');
    in->read(head.data(), static_cast<std::streamsize>(head.size()));
    head.resize(static_cast<std::size_t>(in->gcount()));
    if (head.size() >= 20 && head.substr(16, 4) == "\xde\xc0\xef\xbe") return TapeFormat::lmdb;
    std::size_t const first = head.find_first_not_of(" \t\r\n");
    if (first == std::string::npos) throw data_error{file.string() + ": is empty"};
    if (head[first] == '[') return TapeFormat::json;
    if (head[first] == '>') return TapeFormat::fasta;
    // A TFRecord starts with a length of eight bytes, of which the upper ones are zero.
    if (head.size() >= 12 && head.substr(4, 4) == std::string(4, '\0')) return TapeFormat::tfrecord;
    if (head[first] == '{' || head.substr(0, head.find('\n')).find("primary") != std::string::npos)
        return TapeFormat::csv;
    throw data_error{file.string() + ": cannot tell its format from its first bytes " + shown(head) +
                     "; say --format " + joined(format_names, "or")};
}

Dataset import_dataset(Task const& task, std::string const& split, std::filesystem::path const& file, TapeFormat format,
                       DatasetOptions const& options) {
    if (format == TapeFormat::csv) return read_dataset(task, split, file, options);
    Importer importer{task, split, options};
    switch (format) {
    case TapeFormat::json:
        import_json(importer, file);
        break;
    case TapeFormat::lmdb:
        import_lmdb(importer, file);
        break;
    case TapeFormat::tfrecord:
        import_tfrecord(importer, file);
        break;
    case TapeFormat::fasta:
        import_fasta(importer, file, options);
        break;
    case TapeFormat::csv:
        break;
    }
    if (importer.dataset.examples.empty()) throw data_error{file.string() + ": no records"};
    if (file != "-")
        importer.dataset.hash = content_hash_of_file(std::filesystem::is_directory(file) ? file / "data.mdb" : file);
    return std::move(importer.dataset);
}

void write_tape_json(std::ostream& out, Dataset const& dataset) {
    out << "[";
    bool first = true;
    for (Example const& example : dataset.examples) {
        nlohmann::json record{{"id", example.protein.id},
                              {"primary", example.protein.residues},
                              {"protein_length", example.protein.residues.size()}};
        switch (dataset.task.kind) {
        case TaskKind::residue_class:
            record[label_column(dataset.task)] = example.residue_labels;
            break;
        case TaskKind::residue_pair:
            record["tertiary"] = example.ca;
            if (!example.cb.empty()) record["tertiary_cb"] = example.cb;
            break;
        case TaskKind::protein_class:
            record["fold_label"] = example.class_label;
            break;
        case TaskKind::protein_value:
            record[label_column(dataset.task)] = std::vector<double>{example.value};
            break;
        }
        if (!example.valid_mask.empty())
            record["valid_mask"] = std::vector<bool>(example.valid_mask.begin(), example.valid_mask.end());
        for (auto const& [name, value] : example.attributes) record[name] = value;
        out << (first ? "\n" : ",\n") << record.dump();
        first = false;
    }
    out << "\n]\n";
}

void write_labelled_fasta(std::ostream& out, Dataset const& dataset) {
    if (dataset.task.kind == TaskKind::residue_pair)
        throw usage_error{
            "contacts have a coordinate a residue, which FASTA cannot hold; export them as jsonl or tape-json"};
    std::string const column = label_column(dataset.task);
    for (Example const& example : dataset.examples) {
        Protein protein = example.protein;
        if (protein.id.find_first_of(" \t") != std::string::npos)
            throw data_error{"id " + shown(protein.id) + " holds a blank, which FASTA cannot; export it as csv"};
        std::string label = std::to_string(example.class_label);
        if (dataset.task.kind == TaskKind::protein_value) {
            char digits[40];
            label.assign(digits, std::to_chars(digits, digits + sizeof digits, example.value).ptr);
        } else if (dataset.task.kind == TaskKind::residue_class) {
            label.clear();
            for (auto const state : example.residue_labels)
                label += state < 0 ? '-' : dataset.task.class_names[static_cast<std::size_t>(state)][0];
        }
        protein.description = column + "=" + label;
        if (!example.valid_mask.empty()) {
            protein.description += " valid_mask=";
            for (auto const flag : example.valid_mask) protein.description += static_cast<char>('0' + flag);
        }
        for (auto const& [name, value] : example.attributes)
            if ((name + value).find_first_of(" \t\r\n=") == std::string::npos)
                protein.description += " " + name + "=" + value;
        write_fasta(out, {protein});
    }
}

} // namespace tape
