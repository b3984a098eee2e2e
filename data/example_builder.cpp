#include "data/example_builder.hpp"

#include "data/alphabet.hpp"
#include "data/error.hpp"
#include "data/text.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>

namespace tape {

void throw_with_cause(std::string const& message, std::string const& cause) {
    try {
        throw data_error{cause};
    } catch (...) {
        std::throw_with_nested(data_error{message});
    }
}

std::string label_column(Task const& task) {
    if (!task.label.empty()) return task.label;
    if (task.kind == TaskKind::residue_class) return task.class_count == 8 ? "ss8" : "ss3";
    if (task.kind == TaskKind::residue_pair) return "tertiary_ca";
    if (task.kind == TaskKind::protein_class) return "fold_label";
    return task.name == "stability" ? "stability_score" : "log_fluorescence";
}

std::vector<std::string> required_columns(Task const& task) {
    if (!task.label.empty()) return {"id", "sequence", "split", task.label};
    std::vector<std::string> columns{"id", "primary", label_column(task)};
    // Whole-chain 3-state labels cover unresolved residues too; only the mask tells them apart.
    if (task.kind == TaskKind::residue_pair || label_column(task) == "ss3") columns.emplace_back("valid_mask");
    return columns;
}

std::vector<std::string> optional_columns(Task const& task) {
    bool const per_residue = task.kind == TaskKind::residue_class || task.kind == TaskKind::residue_pair;
    if (!task.label.empty()) return per_residue ? std::vector<std::string>{"valid_mask"} : std::vector<std::string>{};
    if (task.kind == TaskKind::residue_pair) return {"tertiary_cb"};
    if (label_column(task) == "ss8") return {"valid_mask"};
    return {};
}

ExampleBuilder::ExampleBuilder(Task const& task, std::string where)
    : task_{task}, where_{std::move(where)}, label_column_{label_column(task)}, sequence_column_{task.label.empty()
                                                                                                     ? "primary"
                                                                                                     : "sequence"} {}

void ExampleBuilder::fail(std::string const& message) const {
    throw data_error{where_ + ": " + message +
                     (example_.protein.id.empty() ? "" : " (record " + shown(example_.protein.id) + ")")};
}

void ExampleBuilder::fail_length(std::string_view column, std::size_t seen, std::string_view noun) const {
    std::size_t const wanted = example_.protein.residues.size();
    std::size_t const difference = seen < wanted ? wanted - seen : seen - wanted;
    std::string const kind{noun.substr(0, noun.size() - 1)};
    throw_with_cause(where_ + ": column " + shown(column) + " has " + counted(seen, kind) + " for " +
                         counted(wanted, "residue") + " (record " + shown(example_.protein.id) + ")",
                     counted(difference, seen < wanted ? "missing " + kind : "surplus " + kind) +
                         "; re-export the file or drop the record with --skip-bad-records");
}

double ExampleBuilder::number(std::string_view column, std::string_view value) const {
    double result = 0;
    auto const [end, problem] = std::from_chars(value.data(), value.data() + value.size(), result);
    if (problem != std::errc{} || end != value.data() + value.size() || !std::isfinite(result))
        fail("column " + shown(column) + " is " + shown(value) + "; expected a finite number");
    return result;
}

void ExampleBuilder::text(std::string_view column, std::string_view value) {
    if (column == "id") {
        if (value.empty()) fail("column 'id' is empty; every record needs an id");
        example_.protein.id = value;
    } else if (column == sequence_column_) {
        example_.protein.residues = value;
        has_primary_ = true;
    } else if (column == label_column_ && task_.kind == TaskKind::residue_class) {
        has_label_ = true;
        example_.residue_labels.reserve(value.size());
        for (std::size_t i = 0; i < value.size(); ++i) {
            int label = value[i] >= '0' && value[i] <= '9' ? value[i] - '0' : -2;
            if (value[i] == '-') label = -1;
            for (std::size_t k = 0; k < task_.class_names.size(); ++k)
                if (task_.class_names[k][0] == value[i]) label = static_cast<int>(k);
            if (label < -1 || label >= task_.class_count)
                fail("column " + shown(column) + " has " + shown(value.substr(i, 1)) + " at position " +
                     std::to_string(i + 1) + "; expected one of " + joined(task_.class_names) +
                     ", their numbers from 0, or '-' for no label");
            example_.residue_labels.push_back(static_cast<std::int16_t>(label));
        }
    } else if (column == label_column_ && task_.kind == TaskKind::protein_class && !task_.class_names.empty()) {
        auto const found = std::ranges::find(task_.class_names, value);
        if (found == task_.class_names.end())
            fail("column " + shown(column) + " is " + shown(value) + "; expected " + joined(task_.class_names));
        set_label(column, static_cast<double>(found - task_.class_names.begin()));
    } else if (column == label_column_ && column == "contacts") {
        // "3-17 4-16": every separator is one character, so that a lost number is noticed.
        std::vector<double> positions;
        for (std::size_t begin = 0; begin < value.size();) {
            std::size_t const end = std::min(value.find_first_of("- ;", begin), value.size());
            positions.push_back(number(column, value.substr(begin, end - begin)));
            begin = end + 1;
        }
        set_contacts(positions);
    } else if (column == label_column_ && task_.kind != TaskKind::residue_pair) {
        set_label(column, number(column, value));
    } else if (column == "valid_mask" && per_residue()) {
        has_mask_ = true;
        example_.valid_mask.reserve(value.size());
        for (std::size_t i = 0; i < value.size(); ++i) {
            if (value[i] != '0' && value[i] != '1')
                fail("column 'valid_mask' has " + shown(value.substr(i, 1)) + " at position " + std::to_string(i + 1) +
                     "; expected 0 or 1");
            example_.valid_mask.push_back(static_cast<std::uint8_t>(value[i] - '0'));
        }
    } else if (task_.kind == TaskKind::residue_pair && (column == "tertiary_ca" || column == "tertiary_cb")) {
        fail("column " + shown(column) + " is text; expected coordinates, three numbers a residue (JSONL)");
    } else {
        example_.attributes[std::string{column}] = value;
    }
}

bool ExampleBuilder::per_residue() const {
    return task_.kind == TaskKind::residue_class || task_.kind == TaskKind::residue_pair;
}

void ExampleBuilder::set_label(std::string_view column, double value) {
    has_label_ = true;
    if (task_.kind == TaskKind::protein_value) {
        if (!std::isfinite(value))
            fail("column " + shown(column) + " is " + std::to_string(value) + "; expected a finite number");
        example_.value = value;
        return;
    }
    if (value != std::floor(value) || value < 0 || value >= task_.class_count) {
        char digits[32];
        std::snprintf(digits, sizeof digits, "%.17g", value);
        fail("column " + shown(column) + " is " + shown(digits) + "; expected a class from 0 to " +
             std::to_string(task_.class_count - 1));
    }
    example_.class_label = static_cast<int>(value);
}

void ExampleBuilder::set_contacts(std::span<double const> positions) {
    has_label_ = true;
    if (positions.size() % 2 != 0)
        fail("column 'contacts' has an odd number of positions; expected pairs such as 3-17");
    for (std::size_t k = 0; k < positions.size(); k += 2) {
        double const i = std::min(positions[k], positions[k + 1]), j = std::max(positions[k], positions[k + 1]);
        if (i < 1 || i != std::floor(i) || j != std::floor(j) || i == j || j > 1e6)
            fail("column 'contacts' has the pair " + std::to_string(positions[k]) + ", " +
                 std::to_string(positions[k + 1]) + "; expected two residues, counted from 1");
        example_.contacts.push_back({static_cast<int>(i) - 1, static_cast<int>(j) - 1});
    }
}

void ExampleBuilder::numbers(std::string_view column, std::span<double const> values) {
    if (column == label_column_ && column == "contacts") return set_contacts(values);
    if (column == label_column_ && task_.kind == TaskKind::residue_class) {
        has_label_ = true;
        for (double const value : values) {
            if (value != std::floor(value) || value < -1 || value >= task_.class_count)
                fail("column " + shown(column) + " has label " + std::to_string(value) + "; expected 0 to " +
                     std::to_string(task_.class_count - 1) + ", or -1 for no label");
            example_.residue_labels.push_back(static_cast<std::int16_t>(value));
        }
    } else if (column == "valid_mask" && per_residue()) {
        has_mask_ = true;
        for (double const value : values) {
            if (value != 0 && value != 1)
                fail("column 'valid_mask' has " + std::to_string(value) + "; expected 0 or 1");
            example_.valid_mask.push_back(static_cast<std::uint8_t>(value));
        }
    } else if (task_.kind == TaskKind::residue_pair && (column == "tertiary_ca" || column == "tertiary_cb")) {
        auto& target = column == "tertiary_ca" ? example_.ca : example_.cb;
        (column == "tertiary_ca" ? has_label_ : has_cb_) = true;
        if (values.size() % 3 != 0)
            fail("column " + shown(column) + " has " + std::to_string(values.size()) +
                 " numbers; expected three a residue");
        for (std::size_t i = 0; i < values.size(); i += 3)
            target.push_back(
                {static_cast<float>(values[i]), static_cast<float>(values[i + 1]), static_cast<float>(values[i + 2])});
    } else if (column == label_column_ && task_.kind == TaskKind::protein_class && !task_.class_names.empty() &&
               values.size() == 1) {
        char digits[32]; // classes written as numbers are named by them
        text(column, std::string_view{digits, std::to_chars(digits, digits + sizeof digits, values[0]).ptr});
    } else if (column == label_column_) {
        if (values.size() != 1)
            fail("column " + shown(column) + " has " + counted(values.size(), "number") + "; expected one");
        set_label(column, values[0]);
    } else if (values.size() == 1) {
        char digits[32];
        auto const end = std::to_chars(digits, digits + sizeof digits, values[0]).ptr;
        example_.attributes[std::string{column}] = std::string{digits, end};
    }
}

void ExampleBuilder::check_residues() {
    std::string& residues = example_.protein.residues;
    if (residues.empty()) fail("column " + shown(sequence_column_) + " is empty; a protein needs residues");
    for (std::size_t i = 0; i < residues.size(); ++i) {
        char& letter = residues[i];
        if (letter >= 'a' && letter <= 'z') letter = static_cast<char>(letter - 'a' + 'A');
        if (letter < 'A' || letter > 'Z')
            fail("column " + shown(sequence_column_) + " has " + shown(std::string_view{&letter, 1}) + " at position " +
                 std::to_string(i + 1) + ", which is no residue letter");
    }
}

void ExampleBuilder::finish_labels() {
    std::size_t const length = example_.protein.residues.size();
    if (example_.residue_labels.size() != length) fail_length(label_column_, example_.residue_labels.size(), "labels");
    if (!has_mask_) example_.valid_mask.assign(length, 1);
    if (example_.valid_mask.size() != length) fail_length("valid_mask", example_.valid_mask.size(), "flags");
    for (std::size_t i = 0; i < length; ++i)
        if (example_.residue_labels[i] < 0) example_.valid_mask[i] = 0;
}

void ExampleBuilder::finish_pairs() {
    std::size_t const length = example_.protein.residues.size();
    if (label_column_ == "contacts") {
        if (!has_mask_) example_.valid_mask.assign(length, 1);
        if (example_.valid_mask.size() != length) fail_length("valid_mask", example_.valid_mask.size(), "flags");
        for (auto const& [i, j] : example_.contacts)
            if (static_cast<std::size_t>(j) >= length)
                fail("column 'contacts' has residue " + std::to_string(j + 1) + " of " + std::to_string(length));
        return;
    }
    if (example_.valid_mask.size() != length) fail_length("valid_mask", example_.valid_mask.size(), "flags");
    if (example_.ca.size() != length) fail_length("tertiary_ca", example_.ca.size(), "positions");
    if (has_cb_ && example_.cb.size() != length) fail_length("tertiary_cb", example_.cb.size(), "positions");
    for (auto* const positions : {&example_.ca, &example_.cb})
        for (std::size_t i = 0; i < positions->size(); ++i)
            for (float& coordinate : (*positions)[i]) {
                if (std::isfinite(coordinate)) continue;
                if (example_.valid_mask[i] != 0)
                    fail(std::string{"column '"} + (positions == &example_.ca ? "tertiary_ca" : "tertiary_cb") +
                         "' has no finite coordinate at residue " + std::to_string(i + 1) +
                         ", which valid_mask calls resolved");
                coordinate = 0;
            }
}

Example ExampleBuilder::finish() {
    if (example_.protein.id.empty()) fail("column 'id' is missing");
    if (!has_primary_) fail("column " + shown(sequence_column_) + " is missing");
    check_residues();
    if (!has_label_) fail("column " + shown(label_column_) + " is missing");
    if (task_.kind == TaskKind::residue_class) finish_labels();
    if (task_.kind == TaskKind::residue_pair) finish_pairs();
    return std::move(example_);
}

} // namespace tape
