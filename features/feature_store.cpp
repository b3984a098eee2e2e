#include "features/feature_store.hpp"

#include "data/error.hpp"
#include "data/io.hpp"

#include <Eigen/Core>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstring>
#include <mutex>
#include <unordered_map>

namespace tape {
namespace {

static_assert(std::endian::native == std::endian::little, "stores are little endian");

struct Key {
    std::uint64_t high = 0, low = 0;
    bool operator==(Key const&) const = default;
};
struct KeyHash {
    std::size_t operator()(Key const& key) const noexcept { return key.low; } // already a hash
};

Key parse_key(std::string const& text) {
    Key key;
    auto const parse = [&](std::size_t begin, std::uint64_t& value) {
        auto const [end, problem] = std::from_chars(text.data() + begin, text.data() + begin + 16, value, 16);
        return problem == std::errc{} && end == text.data() + begin + 16;
    };
    if (text.size() != 32 || !parse(0, key.high) || !parse(16, key.low))
        throw error{"feature key '" + text + "' is not 32 hexadecimal digits"};
    return key;
}

/// First bytes of the file.
struct FileHeader {
    std::array<char, 8> magic{'t', 'a', 'p', 'e', 'f', 's', '0', '1'};
    std::uint32_t kind = 0, width = 0;
    std::array<char, 32> source_hash{};
    std::uint64_t checksum = 0; ///< of the bytes above

    [[nodiscard]] std::uint64_t expected() const { return XXH3_64bits(this, offsetof(FileHeader, checksum)); }
};
static_assert(sizeof(FileHeader) == 56);

/// Before each record's payload: provenance text, then values.
struct RecordHeader {
    std::uint32_t magic = 0x43455254, length = 0; // "TREC"
    Key key;
    float depth = 0;
    std::uint32_t provenance_bytes = 0;
    std::uint64_t payload_bytes = 0, payload_checksum = 0;
    std::uint64_t checksum = 0; ///< of the bytes above

    [[nodiscard]] std::uint64_t expected() const { return XXH3_64bits(this, offsetof(RecordHeader, checksum)); }
    [[nodiscard]] bool sound() const {
        return magic == RecordHeader{}.magic && checksum == expected() && provenance_bytes <= payload_bytes;
    }
};
static_assert(sizeof(RecordHeader) == 56);

std::string encode(std::span<float const> values, FeatureKind kind) {
    if (kind == FeatureKind::pooled) return {reinterpret_cast<char const*>(values.data()), values.size_bytes()};
    constexpr float largest = 65504;
    std::string bytes(values.size() * 2, '\0');
    for (std::size_t i = 0; i < values.size(); ++i) {
        std::uint16_t const half = Eigen::half{std::clamp(values[i], -largest, largest)}.x;
        std::memcpy(&bytes[2 * i], &half, 2);
    }
    return bytes;
}

std::vector<float> decode(std::string_view bytes, FeatureKind kind) {
    if (kind == FeatureKind::pooled) {
        std::vector<float> values(bytes.size() / sizeof(float));
        std::memcpy(values.data(), bytes.data(), values.size() * sizeof(float));
        return values;
    }
    std::vector<float> values(bytes.size() / 2);
    for (std::size_t i = 0; i < values.size(); ++i) {
        std::uint16_t half;
        std::memcpy(&half, bytes.data() + 2 * i, 2);
        values[i] = Eigen::half_impl::half_to_float(Eigen::half_impl::raw_uint16_to_half(half));
    }
    return values;
}

/// Header and payload of one record.
std::string serialise(StoredFeatures const& features, FeatureKind kind) {
    for (float const value : features.values)
        if (!std::isfinite(value)) throw error{"a feature value is not finite (key " + features.key + ")"};
    std::string const payload = features.provenance + encode(features.values, kind);
    RecordHeader header;
    header.length = features.length, header.key = parse_key(features.key), header.depth = features.depth;
    header.provenance_bytes = static_cast<std::uint32_t>(features.provenance.size());
    header.payload_bytes = payload.size(), header.payload_checksum = XXH3_64bits(payload.data(), payload.size());
    header.checksum = header.expected();
    std::string bytes{reinterpret_cast<char const*>(&header), sizeof header};
    return bytes += payload;
}

/// An open descriptor with its exclusive lock operations.
class Descriptor {
  public:
    explicit Descriptor(std::filesystem::path file) : file_{std::move(file)} {
        std::error_code problem;
        std::filesystem::create_directories(file_.parent_path(), problem);
        descriptor_ = ::open(file_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
        if (descriptor_ < 0) fail("cannot open the feature cache");
    }
    ~Descriptor() { ::close(descriptor_); }
    Descriptor(Descriptor const&) = delete;
    Descriptor& operator=(Descriptor const&) = delete;

    [[noreturn]] void fail(std::string const& what) const {
        throw error{file_.string() + ": " + what + ": " + std::strerror(errno) +
                    "; free space, or set another cache directory with TAPE_CACHE"};
    }
    void lock() const {
        while (::flock(descriptor_, LOCK_EX) != 0)
            if (errno != EINTR) fail("cannot lock the feature cache");
    }
    void unlock() const noexcept { ::flock(descriptor_, LOCK_UN); }
    [[nodiscard]] std::uint64_t size() const {
        struct stat status {};
        if (::fstat(descriptor_, &status) != 0) fail("cannot read the feature cache");
        return static_cast<std::uint64_t>(status.st_size);
    }
    void truncate(std::uint64_t size) const {
        if (::ftruncate(descriptor_, static_cast<off_t>(size)) != 0) fail("cannot shorten the feature cache");
    }
    /// All bytes or, after cutting the file back to `offset`, an error.
    void write_at(std::string_view bytes, std::uint64_t offset) const {
        for (std::size_t done = 0; done < bytes.size();) {
            auto const written =
                ::pwrite(descriptor_, bytes.data() + done, bytes.size() - done, static_cast<off_t>(offset + done));
            if (written < 0 && errno == EINTR) continue;
            if (written <= 0) {
                int const reason = written == 0 ? ENOSPC : errno;
                (void)::ftruncate(descriptor_, static_cast<off_t>(offset));
                errno = reason;
                fail("cannot write the feature cache");
            }
            done += static_cast<std::size_t>(written);
        }
    }
    bool read_at(void* target, std::size_t size, std::uint64_t offset) const {
        return ::pread(descriptor_, target, size, static_cast<off_t>(offset)) == static_cast<ssize_t>(size);
    }
    [[nodiscard]] std::filesystem::path const& file() const { return file_; }

  private:
    std::filesystem::path file_;
    int descriptor_ = -1;
};

class FileLock {
  public:
    explicit FileLock(Descriptor const& file) : file_{file} { file_.lock(); }
    ~FileLock() { file_.unlock(); }
    FileLock(FileLock const&) = delete;
    FileLock& operator=(FileLock const&) = delete;

  private:
    Descriptor const& file_;
};

} // namespace

struct FeatureStore::State {
    State(std::filesystem::path file, FeatureKind the_kind) : descriptor{std::move(file)}, kind{the_kind} {}

    Descriptor descriptor;
    FeatureKind kind;
    std::uint64_t end = sizeof(FileHeader); ///< of the last sound record seen
    std::unordered_map<Key, std::uint64_t, KeyHash> offsets;
    std::shared_ptr<MappedFile const> map;
    mutable std::mutex mutex;

    void check_or_write_header(int width, std::string const& source_hash) {
        FileHeader wanted, found;
        wanted.kind = static_cast<std::uint32_t>(kind), wanted.width = static_cast<std::uint32_t>(width);
        std::copy_n(source_hash.begin(), std::min<std::size_t>(32, source_hash.size()), wanted.source_hash.begin());
        wanted.checksum = wanted.expected();
        bool const whole = descriptor.read_at(&found, sizeof found, 0) && found.checksum == found.expected();
        if (!whole) {
            // New, or its creator died before the header was out: nothing can follow it.
            descriptor.truncate(0);
            descriptor.write_at({reinterpret_cast<char const*>(&wanted), sizeof wanted}, 0);
        } else if (std::memcmp(&wanted, &found, sizeof wanted) != 0) {
            throw data_error{descriptor.file().string() +
                             ": a feature cache of another source, kind or width; remove it"};
        }
    }

    /// Indexes the records after `end`; with the file locked, cuts off what follows the last sound one.
    void scan(bool locked) {
        std::uint64_t const size = descriptor.size();
        RecordHeader header;
        while (end + sizeof header <= size && descriptor.read_at(&header, sizeof header, end) && header.sound() &&
               header.payload_bytes <= size - end - sizeof header) {
            offsets[header.key] = end;
            end += sizeof header + header.payload_bytes;
        }
        if (locked && end < size) descriptor.truncate(end);
    }
};

FeatureStore::FeatureStore(std::filesystem::path file, FeatureKind kind, int width, std::string const& source_hash)
    : state_{std::make_unique<State>(std::move(file), kind)} {
    FileLock const lock{state_->descriptor};
    state_->check_or_write_header(width, source_hash);
    state_->scan(true);
}

FeatureStore::~FeatureStore() = default;

std::size_t FeatureStore::size() const {
    std::lock_guard const guard{state_->mutex};
    return state_->offsets.size();
}

bool FeatureStore::contains(std::string const& key) const {
    std::lock_guard const guard{state_->mutex};
    return state_->offsets.contains(parse_key(key));
}

void FeatureStore::refresh() {
    std::lock_guard const guard{state_->mutex};
    // Without the lock a record that is being written looks torn, so nothing is cut off.
    state_->scan(false);
}

std::optional<StoredFeatures> FeatureStore::find(std::string const& key) {
    Key const wanted = parse_key(key);
    std::shared_ptr<MappedFile const> map;
    std::uint64_t offset = 0;
    {
        std::lock_guard const guard{state_->mutex};
        auto const found = state_->offsets.find(wanted);
        if (found == state_->offsets.end()) return std::nullopt;
        if (!state_->map || state_->map->bytes().size() < state_->end)
            state_->map = std::make_shared<MappedFile const>(state_->descriptor.file());
        map = state_->map, offset = found->second;
    }
    RecordHeader header;
    std::string_view const bytes = map->bytes();
    if (bytes.size() >= offset + sizeof header) std::memcpy(&header, bytes.data() + offset, sizeof header);
    bool sound = bytes.size() >= offset + sizeof header && header.sound() && header.key == wanted &&
                 header.payload_bytes <= bytes.size() - offset - sizeof header;
    std::string_view const payload =
        sound ? bytes.substr(offset + sizeof header, header.payload_bytes) : std::string_view{};
    sound = sound && XXH3_64bits(payload.data(), payload.size()) == header.payload_checksum;
    if (!sound) {
        std::lock_guard const guard{state_->mutex};
        state_->offsets.erase(wanted);
        return std::nullopt;
    }
    return StoredFeatures{.key = key,
                          .length = header.length,
                          .depth = header.depth,
                          .provenance = std::string{payload.substr(0, header.provenance_bytes)},
                          .values = decode(payload.substr(header.provenance_bytes), state_->kind)};
}

void FeatureStore::append(std::span<StoredFeatures const> records) {
    std::vector<std::string> serialised;
    for (auto const& record : records) serialised.push_back(serialise(record, state_->kind));
    std::lock_guard const guard{state_->mutex};
    FileLock const lock{state_->descriptor};
    state_->scan(true);
    for (std::size_t r = 0; r < records.size(); ++r) {
        Key const key = parse_key(records[r].key);
        if (state_->offsets.contains(key)) continue;
        state_->descriptor.write_at(serialised[r], state_->end);
        state_->offsets[key] = state_->end;
        state_->end += serialised[r].size();
    }
}

} // namespace tape
