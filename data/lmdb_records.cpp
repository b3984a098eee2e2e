#include "data/error.hpp"
#include "data/io.hpp"
#include "data/tape_formats.hpp"
#include "data/text.hpp"

#include <lmdb.h>

#include <cstring>
#include <memory>

namespace tape {
namespace {

constexpr std::uint32_t lmdb_magic = 0xbeefc0de;
constexpr std::uint64_t smallest_page = 256, largest_page = 65536;

template <typename Number> Number number_at(std::string_view bytes, std::uint64_t offset) {
    Number value{};
    std::memcpy(&value, bytes.data() + offset, sizeof value);
    return value;
}

/// liblmdb maps the file and trusts it: reading a truncated one would end in SIGBUS. Both meta pages (LMDB 0.9, 64 bit:
/// magic at 16, page size at 40, last used page at 136, transaction at 144 of a page) are checked against the file's
/// size.
void check_size(std::filesystem::path const& file) {
    MappedFile const map{file};
    std::string_view const bytes = map.bytes();
    auto const refuse = [&file](std::string const& what) { throw data_error{file.string() + ": " + what}; };
    if (bytes.size() < 152 || number_at<std::uint32_t>(bytes, 16) != lmdb_magic) refuse("no LMDB file");
    std::uint64_t const page = number_at<std::uint32_t>(bytes, 40);
    if (page < smallest_page || page > largest_page || bytes.size() < page + 152)
        refuse("damaged LMDB file: page size " + std::to_string(page));
    std::uint64_t const meta =
        number_at<std::uint64_t>(bytes, 144) >= number_at<std::uint64_t>(bytes, page + 144) ? 0 : page;
    std::uint64_t const last = number_at<std::uint64_t>(bytes, meta + 136);
    if (last >= bytes.size() / page)
        refuse("truncated LMDB file: " + std::to_string(bytes.size()) + " bytes, but its last page is number " +
               std::to_string(last) + "; copy or download it again");
}

class Reader {
  public:
    explicit Reader(std::filesystem::path const& path) : name_{path.string()} {
        bool const directory = std::filesystem::is_directory(path);
        check_size(directory ? path / "data.mdb" : path);
        MDB_env* environment = nullptr;
        check(mdb_env_create(&environment), "open");
        environment_.reset(environment);
        // No lock file: the data may be read-only, and nobody writes.
        unsigned const flags = MDB_RDONLY | MDB_NOLOCK | (directory ? 0 : MDB_NOSUBDIR);
        check(mdb_env_open(environment, path.c_str(), flags, 0664), "open");
        MDB_txn* transaction = nullptr;
        check(mdb_txn_begin(environment, nullptr, MDB_RDONLY, &transaction), "read");
        transaction_.reset(transaction);
        check(mdb_dbi_open(transaction, nullptr, 0, &table_), "read");
    }

    std::string_view get(std::string key) const {
        MDB_val wanted{key.size(), key.data()}, found{};
        int const status = mdb_get(transaction_.get(), table_, &wanted, &found);
        if (status == MDB_NOTFOUND)
            throw data_error{name_ + ": key " + shown(key) +
                             " is missing; expected a TAPE database with num_examples and 0, 1, ..."};
        check(status, "read");
        return {static_cast<char const*>(found.mv_data), found.mv_size};
    }

  private:
    void check(int status, char const* verb) const {
        if (status != MDB_SUCCESS) throw data_error{name_ + ": cannot " + verb + " this LMDB: " + mdb_strerror(status)};
    }
    std::string name_;
    std::unique_ptr<MDB_env, void (*)(MDB_env*)> environment_{nullptr, mdb_env_close};
    std::unique_ptr<MDB_txn, void (*)(MDB_txn*)> transaction_{nullptr, mdb_txn_abort};
    MDB_dbi table_ = 0;
};

} // namespace

void for_each_lmdb_record(std::filesystem::path const& file,
                          std::function<void(std::string_view value, std::string const& where)> const& visit) {
    Reader const reader{file};
    long long const count = read_pickled_integer(reader.get("num_examples"), file.string() + ", num_examples");
    for (long long i = 0; i < count; ++i)
        visit(reader.get(std::to_string(i)), file.string() + ", record " + std::to_string(i));
}

} // namespace tape
