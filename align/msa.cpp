#include "align/msa.hpp"

#include "align/line_reader.hpp"
#include "data/error.hpp"
#include "data/io.hpp"
#include "data/text.hpp"

#include <algorithm>
#include <array>
#include <istream>
#include <map>
#include <optional>
#include <ostream>
#include <unordered_map>
#include <unordered_set>

namespace tape {
namespace {

/// A record as it stands in the file: letters and gap signs of all its lines.
struct RawRow {
    std::string id, description, letters;
    std::size_t line = 0; ///< of its header
};

constexpr char const* known_formats = "an A3M, A2M, aligned FASTA, Stockholm or Clustal alignment";

bool is_lower(char c) { return c >= 'a' && c <= 'z'; }
bool is_gap(char c) { return c == '-' || c == '.'; }
char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

/// Where a row stands, as messages begin: "file:line: record 'id': ".
std::string place(std::string const& name, RawRow const& row) {
    return name + ":" + std::to_string(row.line) + ": record '" + row.id + "': ";
}

std::string printable(char c) {
    if (c >= ' ' && c <= '~') return std::string{"'"} + c + "'";
    return "byte " + std::to_string(static_cast<unsigned char>(c));
}

/// Appends the letters of one line, normalising Stockholm's further gap signs. Blanks are dropped.
void append_letters(RawRow& row, std::string_view letters, LineReader const& lines) {
    for (char c : letters) {
        if (c == ' ' || c == '\t') continue;
        if (c == '_' || c == '~') c = '-';
        if (residue_code(c) == invalid_code)
            throw data_error{lines.place() + "record '" + row.id + "': " + printable(c) + " at column " +
                             std::to_string(row.letters.size() + 1) + " is neither a residue nor a gap"};
        row.letters.push_back(c);
    }
}

RawRow row_of_header(std::string_view header, std::size_t line) {
    RawRow row;
    row.line = line;
    std::size_t const split = header.find_first_of(" \t");
    row.id = header.substr(0, split);
    if (split != std::string_view::npos)
        if (std::size_t const begin = header.find_first_not_of(" \t", split); begin != std::string_view::npos)
            row.description = header.substr(begin);
    return row;
}

std::vector<RawRow> read_fasta_like(LineReader& lines) {
    std::vector<RawRow> rows;
    do {
        std::string const& text = lines.text();
        if (text.empty() || (rows.empty() && text.front() == '#')) continue;
        if (text.front() == '>') {
            rows.push_back(row_of_header(std::string_view{text}.substr(1), lines.number()));
            if (rows.back().id.empty()) rows.back().id = "row-" + std::to_string(rows.size());
        } else if (rows.empty()) {
            throw data_error{lines.place() + "text before the first '>': '" + text.substr(0, 40) + "'; expected " +
                             known_formats};
        } else {
            append_letters(rows.back(), text, lines);
        }
    } while (lines.next());
    return rows;
}

/// Stockholm: rows of one name are joined over the blocks; "#=GS name DE text" becomes the description.
std::vector<RawRow> read_stockholm(LineReader& lines) {
    std::vector<RawRow> rows;
    std::unordered_map<std::string, std::size_t> row_of;
    std::unordered_map<std::string, std::string> descriptions;
    bool ended = false;
    while (lines.next()) {
        std::string_view text = lines.text();
        text.remove_prefix(std::min(text.find_first_not_of(" \t"), text.size()));
        if (text.empty()) continue;
        if (ended)
            throw data_error{lines.place() + "a second alignment after '//'; split the file: one alignment each"};
        if (text.starts_with("//")) {
            ended = true;
        } else if (text.starts_with("#=GS ")) {
            RawRow const name = row_of_header(text.substr(5), lines.number());
            if (name.description.starts_with("DE ")) descriptions[name.id] = name.description.substr(3);
        } else if (text.front() != '#') {
            RawRow part = row_of_header(text, lines.number());
            auto const [entry, is_new] = row_of.try_emplace(part.id, rows.size());
            std::string letters;
            letters.swap(part.description);
            if (is_new) rows.push_back(std::move(part));
            append_letters(rows[entry->second], letters, lines);
        }
    }
    if (!ended)
        throw data_error{lines.name() + ":" + std::to_string(lines.number()) +
                         ": the Stockholm alignment ends without '//'; the file is truncated"};
    for (auto& row : rows)
        if (auto const found = descriptions.find(row.id); found != descriptions.end()) row.description = found->second;
    return rows;
}

/// Clustal: rows of one name are joined over the blocks; lines that begin with a blank show conservation, and a number
/// after the letters counts them.
std::vector<RawRow> read_clustal(LineReader& lines) {
    std::vector<RawRow> rows;
    std::unordered_map<std::string, std::size_t> row_of;
    while (lines.next()) {
        std::string const& text = lines.text();
        if (text.empty() || text.front() == ' ' || text.front() == '\t') continue;
        auto const words = fields_of(text);
        if (words.size() < 2 || words.size() > 3)
            lines.fail("expected a name, letters and perhaps a count, saw " + shown(text));
        auto const [entry, is_new] = row_of.try_emplace(std::string{words[0]}, rows.size());
        if (is_new) rows.push_back(row_of_header(words[0], lines.number()));
        append_letters(rows[entry->second], words[1], lines);
    }
    return rows;
}

/// Collects one row of the result: columns and, only if there are any, insertions.
class RowBuilder {
  public:
    explicit RowBuilder(std::size_t length) { columns_.reserve(length), letters_.reserve(length); }
    void column(char c) {
        columns_.push_back(residue_code(c));
        letters_.push_back(residue_letter(columns_.back()));
    }
    void gap() { columns_.push_back(gap_code), letters_.push_back('-'); }
    void insertion(char c) { letters_.push_back(lower(c)), inserted_ = true; }
    [[nodiscard]] MsaRow finish(RawRow&& raw) {
        return {std::move(raw.id), std::move(raw.description), std::move(columns_),
                inserted_ ? std::move(letters_) : std::string{}};
    }

  private:
    std::vector<Residue> columns_;
    std::string letters_;
    bool inserted_ = false;
};

/// Rows that share all their columns: the query's letters, of either case, are the columns of the result.
MsaRow anchor_aligned(RawRow&& raw, std::string const& query, std::size_t length) {
    RowBuilder row{length};
    for (std::size_t c = 0; c < query.size(); ++c) {
        if (!is_gap(query[c]))
            row.column(raw.letters[c]);
        else if (!is_gap(raw.letters[c]))
            row.insertion(raw.letters[c]);
    }
    return row.finish(std::move(raw));
}

/// A3M: walks the query's match columns; letters inserted in the query are unaligned in every other row.
MsaRow anchor_a3m(RawRow&& raw, std::string const& query, std::size_t length, bool is_query) {
    RowBuilder row{length};
    if (is_query) {
        for (char const c : query)
            if (!is_gap(c)) row.column(c);
        return row.finish(std::move(raw));
    }
    std::size_t at = 0;
    auto const pass_query_insertions = [&] {
        for (; at < query.size() && is_lower(query[at]); ++at) row.gap();
    };
    for (char const c : raw.letters) {
        if (is_lower(c)) {
            row.insertion(c);
            continue;
        }
        pass_query_insertions();
        if (query[at] != '-')
            row.column(c);
        else if (c != '-')
            row.insertion(c);
        ++at;
    }
    pass_query_insertions();
    return row.finish(std::move(raw));
}

std::size_t match_columns(std::string const& letters) {
    return static_cast<std::size_t>(std::ranges::count_if(letters, [](char c) { return !is_lower(c); }));
}

/// Rows of one length share columns; a file with dots or a Stockholm file must be of that kind, another is taken for
/// A3M.
void check_lengths(std::string const& name, std::vector<RawRow> const& rows, bool must_be_aligned, bool aligned) {
    for (auto const& row : rows) {
        if (row.letters.empty()) throw data_error{place(name, row) + "no sequence"};
        if (aligned) continue;
        std::size_t const expected =
            must_be_aligned ? rows.front().letters.size() : match_columns(rows.front().letters);
        std::size_t const found = must_be_aligned ? row.letters.size() : match_columns(row.letters);
        if (found != expected)
            throw data_error{place(name, row) + std::to_string(found) +
                             (must_be_aligned ? " columns" : " match columns (upper-case letters and '-')") +
                             " where the query '" + rows.front().id + "' has " + std::to_string(expected) +
                             "; the row is damaged or the rows are not aligned"};
    }
}

Msa anchor(std::string const& name, std::vector<RawRow>&& rows, bool must_be_aligned) {
    if (rows.empty()) throw data_error{name + ": no rows; expected " + known_formats};
    std::string const query = rows.front().letters;
    bool const aligned = std::ranges::all_of(rows, [&](auto const& row) { return row.letters.size() == query.size(); });
    bool const dotted =
        std::ranges::any_of(rows, [](auto const& row) { return row.letters.find('.') != std::string::npos; });
    check_lengths(name, rows, must_be_aligned || dotted, aligned);
    auto const length = static_cast<std::size_t>(std::ranges::count_if(query, [](char c) { return !is_gap(c); }));
    if (length == 0) throw data_error{place(name, rows.front()) + "the first row is the query and has no residues"};
    Msa msa{.rows = {}, .source = std::filesystem::path{name}.filename().string()};
    msa.rows.reserve(rows.size());
    for (auto& row : rows)
        msa.rows.push_back(aligned ? anchor_aligned(std::move(row), query, length)
                                   : anchor_a3m(std::move(row), query, length, msa.rows.empty()));
    return msa;
}

/// A row padded to common width: insertions lower case, padded by dots.
std::string padded_letters(MsaRow const& row, std::vector<std::size_t> const& widths) {
    std::string const letters = a3m_letters(row);
    std::string padded;
    std::size_t column = 0, run = 0;
    for (char const c : letters) {
        if (is_lower(c)) {
            padded.push_back(c), ++run;
        } else {
            padded.append(widths[column++] - run, '.').push_back(c);
            run = 0;
        }
    }
    return padded.append(widths[column] - run, '.');
}

void write_header(std::ostream& out, std::string const& id, std::string const& description) {
    out << '>' << id;
    if (!description.empty()) out << ' ' << description;
    out << '\n';
}

/// Names for formats where each stands at the beginning of a line, once a row: no comment (`#`), no end (`//`), no two
/// alike.
std::vector<std::string> distinct_names(std::span<AlignedRow const> rows) {
    std::unordered_map<std::string, int> copies; // of an id so far
    std::unordered_set<std::string> taken;
    std::vector<std::string> names;
    for (auto const& row : rows) {
        std::string const id = row.id.starts_with('#') || row.id.starts_with("//") ? "_" + row.id : row.id;
        std::string name = id;
        while (!taken.insert(name).second) name = id + "/" + std::to_string(++copies.try_emplace(id, 1).first->second);
        names.push_back(std::move(name));
    }
    return names;
}

void write_stockholm(std::ostream& out, std::span<AlignedRow const> rows) {
    auto const names = distinct_names(rows);
    std::size_t const name_width = std::max<std::size_t>(std::ranges::max(names, {}, &std::string::size).size(), 7) + 1;
    auto const pad = [&](std::string const& name) { return name + std::string(name_width - name.size(), ' '); };
    out << "# STOCKHOLM 1.0\n";
    for (std::size_t r = 0; r < names.size(); ++r)
        if (!rows[r].description.empty()) out << "#=GS " << pad(names[r]) << "DE " << rows[r].description << '\n';
    for (std::size_t r = 0; r < names.size(); ++r) out << pad(names[r]) << rows[r].letters << '\n';
    std::string reference = rows.front().letters;
    for (char& c : reference) c = c == '.' || is_lower(c) ? '.' : 'x';
    out << pad("#=GC RF") << reference << "\n//\n";
}

/// In upper case, where insertions and columns look alike.
std::string uniform_letters(std::string letters) {
    for (char& c : letters) c = c == '.' ? '-' : is_lower(c) ? static_cast<char>(c - 'a' + 'A') : c;
    return letters;
}

/// Clustal's mark under a column: '*' for one residue, ':' and '.' for residues that all belong to one of its strong
/// and weak groups (Thompson, Gibson & Higgins, Curr Protoc Bioinformatics 2.3, 2002), ' ' for others and for gaps.
char conservation_mark(std::string const& column) {
    static constexpr std::array strong{"STA", "NEQK", "NHQK", "NDEQ", "QHRK", "MILV", "MILF", "HY", "FYW"};
    static constexpr std::array weak{"CSA",    "ATV",    "SAG",    "STNK",  "STPA", "SGND",
                                     "SNDEQK", "NDEQHK", "NEQHRK", "FVLIM", "HFY"};
    auto const within = [&](char const* group) { return column.find_first_not_of(group) == std::string::npos; };
    if (column.find_first_not_of(column.front()) == std::string::npos) return column.front() == '-' ? ' ' : '*';
    return std::ranges::any_of(strong, within) ? ':' : std::ranges::any_of(weak, within) ? '.' : ' ';
}

/// Blocks of 60 columns; insertions stand in columns of their own.
void write_clustal(std::ostream& out, std::span<AlignedRow const> aligned) {
    constexpr std::size_t block = 60;
    auto const names = distinct_names(aligned);
    std::size_t const name_width = std::ranges::max(names, {}, &std::string::size).size() + 6;
    std::vector<std::string> rows;
    for (auto const& row : aligned) rows.push_back(uniform_letters(row.letters));
    out << "CLUSTAL multiple sequence alignment\n";
    std::string column(rows.size(), '-');
    for (std::size_t begin = 0; begin < rows.front().size(); begin += block) {
        out << '\n';
        for (std::size_t r = 0; r < rows.size(); ++r)
            out << names[r] << std::string(name_width - names[r].size(), ' ') << rows[r].substr(begin, block) << '\n';
        std::string marks;
        for (std::size_t c = begin; c < std::min(begin + block, rows.front().size()); ++c) {
            std::ranges::transform(rows, column.begin(), [&](auto const& row) { return row[c]; });
            marks += conservation_mark(column);
        }
        out << std::string(name_width, ' ') << marks << '\n';
    }
}

constexpr std::array format_names{"a3m", "a2m", "sto", "fasta", "aln"};

} // namespace

std::string a3m_letters(MsaRow const& row) {
    return row.insertions.empty() ? decode_residues(row.columns) : row.insertions;
}

std::vector<std::size_t> insertion_widths(Msa const& msa) {
    std::vector<std::size_t> widths(msa.length() + 1, 0);
    for (auto const& row : msa.rows) {
        std::size_t column = 0, run = 0;
        for (char const c : row.insertions) {
            if (is_lower(c))
                widths[column] = std::max(widths[column], ++run);
            else
                ++column, run = 0;
        }
    }
    return widths;
}

Msa query_only_msa(std::string const& id, std::string const& residues, std::string source) {
    return {.rows = {{.id = id, .description = {}, .columns = encode_residues(residues), .insertions = {}}},
            .source = std::move(source)};
}

Msa read_msa(std::istream& in, std::string const& name) {
    LineReader lines{in, name};
    while (lines.next())
        if (lines.text().find_first_not_of(" \t") != std::string::npos) {
            if (lines.text().starts_with("# STOCKHOLM")) return anchor(name, read_stockholm(lines), true);
            if (lines.text().starts_with("CLUSTAL")) return anchor(name, read_clustal(lines), true);
            return anchor(name, read_fasta_like(lines), false);
        }
    throw data_error{name + ": empty; expected " + known_formats};
}

Msa read_msa(std::filesystem::path const& file) {
    auto const in = open_input(file);
    return read_msa(*in, file.string());
}

std::string_view to_string(MsaFormat format) { return format_names[static_cast<std::size_t>(format)]; }

MsaFormat msa_format(std::string const& name) {
    auto const found = std::ranges::find(format_names, name);
    if (found == format_names.end())
        throw usage_error{"unknown alignment format '" + name + "'" +
                          did_you_mean(name, std::vector<std::string>(format_names.begin(), format_names.end())) +
                          "; known: a3m, a2m, sto, fasta, aln"};
    return static_cast<MsaFormat>(found - format_names.begin());
}

void write_aligned(std::ostream& out, std::span<AlignedRow const> rows, MsaFormat format) {
    if (rows.empty()) return;
    if (format == MsaFormat::stockholm) return write_stockholm(out, rows);
    if (format == MsaFormat::clustal) return write_clustal(out, rows);
    for (auto const& row : rows) {
        write_header(out, row.id, row.description);
        if (format == MsaFormat::aligned_fasta) {
            out << uniform_letters(row.letters) << '\n';
            continue;
        }
        std::string letters = row.letters;
        if (format == MsaFormat::a3m) std::erase(letters, '.');
        out << letters << '\n';
    }
}

void write_msa(std::ostream& out, Msa const& msa, MsaFormat format) {
    if (format == MsaFormat::a3m) { // the large ones: no padding that would be taken out again
        for (auto const& row : msa.rows) {
            write_header(out, row.id, row.description);
            out << a3m_letters(row) << '\n';
        }
        return;
    }
    auto const widths = insertion_widths(msa);
    std::vector<AlignedRow> rows;
    rows.reserve(msa.depth());
    for (auto const& row : msa.rows) rows.push_back({row.id, row.description, padded_letters(row, widths)});
    write_aligned(out, rows, format);
}

} // namespace tape
