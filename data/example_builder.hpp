#pragma once

#include "data/dataset.hpp"

#include <nlohmann/json_fwd.hpp>

#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace tape {

/// Collects the fields of one record under their column names and checks them against its task: every reader (CSV,
/// JSONL, LMDB, TFRecord) goes through here, so every format is equally strict.
class ExampleBuilder {
  public:
    /// `where` opens every message: "file:line" or "file, record 3".
    ExampleBuilder(Task const& task, std::string where);

    /// A field given as text: labels and masks are one character a residue.
    void text(std::string_view column, std::string_view value);
    /// A field given as numbers: a label, a value, labels, a mask, or coordinates (3 a residue, angstrom, NaN if
    /// unknown).
    void numbers(std::string_view column, std::span<double const> values);

    /// The example. @throws data_error with where, record and value on a missing field, a wrong length, an unknown
    /// letter, a label out of range, or a value or resolved coordinate that is not finite.
    Example finish();

  private:
    [[noreturn]] void fail(std::string const& message) const;
    [[noreturn]] void fail_length(std::string_view column, std::size_t seen, std::string_view noun) const;
    [[nodiscard]] double number(std::string_view column, std::string_view value) const;
    [[nodiscard]] bool per_residue() const;
    void check_residues();
    void set_contacts(std::span<double const> positions); ///< two a contact, from 1
    void finish_labels();
    void finish_pairs();
    void set_label(std::string_view column, double value);

    Task const& task_;
    std::string where_, label_column_, sequence_column_;
    Example example_;
    bool has_primary_ = false, has_label_ = false, has_mask_ = false, has_cb_ = false;
};

/// A record given as a JSON object.
Example example_from_json(Task const& task, nlohmann::json const& record, std::string const& where);

/// Every column of a file as text (JSON values that are no strings as JSON), and the place of each entry.
struct TextColumns {
    std::string header;                                     ///< place of the names: "file:1" of CSV, else the file
    std::map<std::string, std::vector<std::string>> values; ///< an entry a record; "" where a record lacks it
    std::vector<std::string> places;                        ///< "file:2", or "file, record 2" of a JSON array
};
/// @throws data_error for broken CSV or JSON, with file:line
TextColumns read_text_columns(std::filesystem::path const& file);

/// Columns a record of the task must have, and those it may have; everything else is an attribute.
std::vector<std::string> required_columns(Task const& task);
std::vector<std::string> optional_columns(Task const& task);

/// The message, with a second line saying what to do.
[[noreturn]] void throw_with_cause(std::string const& message, std::string const& cause);

} // namespace tape
