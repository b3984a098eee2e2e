#include "data/blast_volume.hpp"

#include "data/error.hpp"
#include "data/io.hpp"
#include "data/text.hpp"

#include <array>
#include <sstream>

namespace tape {
namespace {

/// NCBIstdaa: letter of each code from 0 (gap, also the mark between sequences).
constexpr std::string_view ncbi_letters = "-ABCDEFGHIKLMNPQRSTVWXYZU*OJ";
constexpr int deepest_nesting = 32; ///< of a header; real ones have about ten levels

/// One element of ASN.1's basic encoding (ITU-T X.690): identifier octet and content.
struct Element {
    int tag = 0;          ///< number of the tag; all tags here are below 31
    bool context = false; ///< context-specific ([0], [1], ...) rather than universal
    std::string_view content;
};

/// Walks the elements of a byte range; lengths may be definite or indefinite, as NCBI writes them.
class Elements {
  public:
    explicit Elements(std::string_view bytes) : rest_{bytes} {}

    bool next() {
        if (rest_.empty() || rest_.substr(0, 2) == std::string_view{"\0\0", 2}) return false;
        element = take(0);
        return true;
    }
    Element element;

  private:
    [[noreturn]] static void fail() { throw data_error{"malformed ASN.1 in its header"}; }

    unsigned char byte() {
        if (rest_.empty()) fail();
        auto const value = static_cast<unsigned char>(rest_.front());
        rest_.remove_prefix(1);
        return value;
    }

    Element take(int depth) {
        if (depth > deepest_nesting) fail();
        unsigned char const identifier = byte(), size = byte();
        if ((identifier & 31) == 31) fail();
        Element found{identifier & 31, (identifier & 0xc0) == 0x80, {}};
        if (size == 0x80) {
            std::string_view const begin = rest_;
            while (rest_.substr(0, 2) != std::string_view{"\0\0", 2}) take(depth + 1);
            found.content = begin.substr(0, begin.size() - rest_.size());
            rest_.remove_prefix(2);
            return found;
        }
        std::size_t length = size;
        if (size > 0x80) {
            if (size > 0x84) fail();
            length = 0;
            for (int i = size & 0x7f; i > 0; --i) length = length << 8 | byte();
        }
        if (length > rest_.size()) fail();
        found.content = rest_.substr(0, length);
        rest_.remove_prefix(length);
        return found;
    }

    std::string_view rest_;
};

/// Content of context tag [number] among the elements of `bytes`; empty if absent.
std::string_view field(std::string_view bytes, int number) {
    for (Elements elements{bytes}; elements.next();)
        if (elements.element.context && elements.element.tag == number) return elements.element.content;
    return {};
}

/// Content of the one element inside a context tag (VisibleString, INTEGER, SEQUENCE).
std::string_view inside(std::string_view bytes) {
    Elements elements{bytes};
    return elements.next() ? elements.element.content : std::string_view{};
}

std::string integer(std::string_view bytes) {
    long long value = !bytes.empty() && (bytes[0] & 0x80) ? -1 : 0;
    if (bytes.size() > sizeof value) throw data_error{"integer too large in its header"};
    for (char const byte : bytes)
        value = static_cast<long long>(static_cast<unsigned long long>(value) << 8 | static_cast<unsigned char>(byte));
    return std::to_string(value);
}

/// Object-id: a number or a string.
std::string object_id(std::string_view bytes) {
    std::string_view const number = inside(field(bytes, 0));
    return number.empty() ? std::string{inside(field(bytes, 1))} : integer(number);
}

/// Textseq-id: accession with its version if it has one, else the name.
std::string text_id(std::string_view sequence) {
    std::string accession{inside(field(sequence, 1))};
    if (accession.empty()) return std::string{inside(field(sequence, 0))};
    std::string_view const version = inside(field(sequence, 3));
    return version.empty() ? accession : accession + "." + integer(version);
}

/// The choices of NCBI's Seq-id that name a sequence; empty for one that is only an ordinal number.
std::string identifier(Element const& id) {
    constexpr int local = 0, general = 10, gi = 11, pdb = 14;
    std::string_view const sequence = inside(id.content);
    if (id.tag == local) return object_id(id.content);
    if (id.tag == gi) return "gi:" + integer(sequence);
    if (id.tag == pdb) {
        std::string_view const chain = inside(field(sequence, 3));
        std::string const name{inside(field(sequence, 0))};
        if (!chain.empty()) return name + "_" + std::string{chain};
        std::string_view const letter = inside(field(sequence, 1));
        return letter.empty() ? name : name + "_" + std::string{letter.back()};
    }
    if (id.tag == general) {
        std::string const database{inside(field(sequence, 0))};
        return database == "BL_ORD_ID" ? "" : database + ":" + object_id(field(sequence, 1));
    }
    return text_id(sequence);
}

/// Id and description of a Blast-def-line-set.
Protein parse_header(std::string_view bytes) {
    std::string_view const line = inside(inside(bytes)); // set -> first Blast-def-line
    Protein protein;
    protein.description = inside(field(line, 0));
    for (Elements ids{inside(field(line, 1))}; ids.next();) {
        std::string const found = identifier(ids.element);
        // A gi number stands before the accession it belongs to.
        if (!found.empty() && (protein.id.empty() || protein.id.starts_with("gi:"))) protein.id = found;
    }
    if (protein.id.empty()) {
        std::size_t const end = std::min(protein.description.find_first_of(" \t"), protein.description.size());
        std::size_t const rest =
            std::min(protein.description.find_first_not_of(" \t", end), protein.description.size());
        protein.id = protein.description.substr(0, end);
        protein.description.erase(0, rest);
    }
    if (protein.id.empty()) throw data_error{"no identifier in its header"};
    return protein;
}

std::string with_ending(std::filesystem::path const& volume, char const* ending) { return volume.string() + ending; }

class Volume {
  public:
    explicit Volume(std::filesystem::path const& path)
        : name_{path.string()}, index_{with_ending(path, ".pin")}, headers_{with_ending(path, ".phr")},
          residues_{with_ending(path, ".psq")} {
        std::uint32_t const version = take();
        if (version == 5)
            damaged("BLAST database of version 5; only version 4 can be read: rebuild it with `makeblastdb "
                    "-blastdb_version 4`, "
                    "or dump it with `blastdbcmd -entry all`");
        if (version != 4) damaged("no BLAST database index (version " + std::to_string(version) + ")");
        if (take() != 1) damaged("a nucleotide database; expected proteins");
        skip(take()); // title
        skip(take()); // date, padded so that what follows is aligned
        count_ = take();
        skip(8 + 4); // total residues (little endian), longest sequence
        if ((index_.bytes().size() - position_) / 8 < std::uint64_t{count_} + 1)
            damaged("truncated: " + std::to_string(count_) + " sequences do not fit its " +
                    std::to_string(index_.bytes().size()) + " bytes");
    }

    std::uint64_t visit(std::function<void(Protein&&)> const& visit) const {
        for (std::uint32_t i = 0; i < count_; ++i) {
            Protein protein;
            try {
                protein = parse_header(slice(headers_, ".phr", header_offset(i), header_offset(i + 1)));
                protein.residues = decode(slice(residues_, ".psq", residue_offset(i), residue_offset(i + 1)));
            } catch (data_error const&) {
                std::throw_with_nested(data_error{name_ + ": sequence " + std::to_string(i + 1) + " of " +
                                                  std::to_string(count_) + " cannot be read"});
            }
            visit(std::move(protein));
        }
        return count_;
    }

  private:
    [[noreturn]] void damaged(std::string const& what) const { throw data_error{name_ + ".pin: " + what}; }

    [[nodiscard]] std::uint32_t number(std::uint64_t offset) const {
        std::string_view const bytes = index_.bytes();
        if (offset + 4 > bytes.size()) damaged("truncated at byte " + std::to_string(bytes.size()));
        std::uint32_t value = 0;
        for (int i = 0; i < 4; ++i) value = value << 8 | static_cast<unsigned char>(bytes[offset + i]);
        return value;
    }
    std::uint32_t take() {
        std::uint32_t const value = number(position_);
        position_ += 4;
        return value;
    }
    void skip(std::uint64_t bytes) { position_ += bytes; }

    [[nodiscard]] std::uint32_t header_offset(std::uint64_t i) const { return number(position_ + 4 * i); }
    [[nodiscard]] std::uint32_t residue_offset(std::uint64_t i) const {
        return number(position_ + 4 * (count_ + std::uint64_t{1} + i));
    }

    [[nodiscard]] static std::string_view slice(MappedFile const& map, char const* ending, std::uint32_t begin,
                                                std::uint32_t end) {
        if (begin > end || end > map.bytes().size())
            throw data_error{std::string{"its bytes "} + std::to_string(begin) + " to " + std::to_string(end) +
                             " lie outside the " + ending + " file, which has " + std::to_string(map.bytes().size())};
        return map.bytes().substr(begin, end - begin);
    }

    /// Every sequence has one zero byte behind it.
    [[nodiscard]] static std::string decode(std::string_view codes) {
        if (codes.empty() || codes.back() != '\0') throw data_error{"its residues do not end with a zero byte"};
        codes.remove_suffix(1);
        std::string letters(codes.size(), 'X');
        for (std::size_t i = 0; i < codes.size(); ++i) {
            auto const code = static_cast<unsigned char>(codes[i]);
            if (code == 0 || code >= ncbi_letters.size())
                throw data_error{"code " + std::to_string(code) + " at position " + std::to_string(i + 1) +
                                 " is no residue"};
            if (ncbi_letters[code] != '*')
                letters[i] = ncbi_letters[code];
            else if (i + 1 == codes.size())
                letters.pop_back();
        }
        if (letters.empty()) throw data_error{"it has no residues"};
        return letters;
    }

    std::string name_;
    MappedFile index_, headers_, residues_;
    std::uint64_t position_ = 0;
    std::uint32_t count_ = 0;
};

/// Names on the DBLIST line of an alias file, quoted or not, relative to its directory.
std::vector<std::filesystem::path> read_alias(std::filesystem::path const& file) {
    std::vector<std::filesystem::path> names;
    std::istringstream lines{read_text(file, std::uint64_t{1} << 24)};
    int number = 0;
    for (std::string line; std::getline(lines, line);) {
        ++number;
        std::istringstream words{line};
        std::string key;
        words >> key;
        for (char const* const part : {"GILIST", "OIDLIST", "SEQIDLIST", "TAXIDLIST", "FIRST_OID", "LAST_OID"})
            if (key == part)
                throw data_error{
                    file.string() + ":" + std::to_string(number) + ": " + key +
                    " selects a part of a database, which cannot be read; dump it with `blastdbcmd -entry all`"};
        if (key != "DBLIST") continue;
        for (std::string name; words >> name;) {
            if (name.size() >= 2 && name.front() == '"' && name.back() == '"') name = name.substr(1, name.size() - 2);
            names.push_back(file.parent_path() / name);
        }
    }
    if (names.empty()) throw data_error{file.string() + ": no DBLIST line; expected the volumes of a BLAST database"};
    return names;
}

void collect(std::filesystem::path const& name, std::vector<std::filesystem::path>& volumes, int depth) {
    if (depth > 8) throw data_error{name.string() + ".pal: alias files name each other in a circle"};
    if (std::filesystem::exists(with_ending(name, ".pal"))) {
        for (auto const& part : read_alias(with_ending(name, ".pal"))) {
            if (part == name && std::filesystem::exists(with_ending(name, ".pin")))
                volumes.push_back(name);
            else
                collect(part, volumes, depth + 1);
        }
    } else if (std::filesystem::exists(with_ending(name, ".pin"))) {
        volumes.push_back(name);
    } else {
        throw data_error{name.string() + ": no BLAST protein database there (neither .pin nor .pal)"};
    }
}

} // namespace

std::vector<std::filesystem::path> blast_volumes(std::filesystem::path const& database) {
    std::filesystem::path name = database;
    for (char const* const ending : {".pin", ".pal", ".psq", ".phr"})
        if (name.extension() == ending) {
            name.replace_extension();
            break;
        }
    std::vector<std::filesystem::path> volumes;
    collect(name, volumes, 0);
    return volumes;
}

std::uint64_t for_each_blast_sequence(std::filesystem::path const& database,
                                      std::function<void(Protein&&)> const& visit) {
    std::uint64_t count = 0;
    for (auto const& volume : blast_volumes(database)) count += Volume{volume}.visit(visit);
    return count;
}

} // namespace tape
