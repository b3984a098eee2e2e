#include "data/zip.hpp"

#include "data/error.hpp"
#include "data/text.hpp"

#include <zlib.h>

#include <algorithm>
#include <limits>
#include <ostream>

namespace tape {
namespace {

constexpr std::uint32_t local_signature = 0x04034b50, central_signature = 0x02014b50, end_signature = 0x06054b50;
constexpr std::uint32_t end64_signature = 0x06064b50, locator64_signature = 0x07064b50;
constexpr std::uint64_t limit32 = 0xffffffff;
constexpr std::uint16_t limit16 = 0xffff;
/// Deflate cannot expand by more than 1,032 (zlib's technical notes): a larger claim is a lie, found before allocating.
constexpr std::uint64_t deflate_limit = 1032;

std::uint32_t checksum_of(std::uint32_t start, std::string_view bytes) {
    while (!bytes.empty()) {
        std::size_t const part = std::min<std::size_t>(bytes.size(), std::numeric_limits<uInt>::max());
        start = static_cast<std::uint32_t>(
            crc32(start, reinterpret_cast<Bytef const*>(bytes.data()), static_cast<uInt>(part)));
        bytes.remove_prefix(part);
    }
    return start;
}

void append(std::string& out, std::uint64_t value, int bytes) {
    for (int i = 0; i < bytes; ++i) out += static_cast<char>(value >> (8 * i) & 0xff);
}

/// Raw deflate into exactly `size` bytes; empty on any other outcome.
std::string inflate_exactly(std::string_view packed, std::uint64_t size) {
    std::string plain(size, '\0');
    z_stream stream{};
    if (inflateInit2(&stream, -15) != Z_OK) throw error{"zlib cannot start"};
    std::size_t taken = 0, made = 0;
    int status = Z_OK;
    char spare = 0; // one byte of room behind the end shows a member that is longer than it says
    while (status == Z_OK) {
        std::size_t const in = std::min<std::size_t>(packed.size() - taken, std::numeric_limits<uInt>::max());
        bool const full = made == plain.size();
        std::size_t const room =
            full ? 1 : std::min<std::size_t>(plain.size() - made, std::numeric_limits<uInt>::max());
        stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(packed.data() + taken));
        stream.avail_in = static_cast<uInt>(in);
        stream.next_out = reinterpret_cast<Bytef*>(full ? &spare : plain.data() + made);
        stream.avail_out = static_cast<uInt>(room);
        status = inflate(&stream, Z_NO_FLUSH);
        taken += in - stream.avail_in;
        if (full && stream.avail_out == 0) break;
        if (!full) made += room - stream.avail_out;
    }
    inflateEnd(&stream);
    return status == Z_STREAM_END && made == size ? plain : std::string{};
}

} // namespace

ZipReader::ZipReader(std::filesystem::path file) : file_{std::move(file)}, map_{file_} { read_directory(); }

void ZipReader::damaged(std::string const& what) const {
    throw data_error{file_.string() + ": " + what + "; copy or download the file again"};
}

std::uint64_t ZipReader::number(std::uint64_t offset, int bytes) const {
    std::string_view const all = map_.bytes();
    if (offset > all.size() || all.size() - offset < static_cast<std::uint64_t>(bytes))
        damaged("truncated zip archive: a field at byte " + std::to_string(offset) + " lies outside");
    std::uint64_t value = 0;
    for (int i = bytes - 1; i >= 0; --i) value = value << 8 | static_cast<unsigned char>(all[offset + i]);
    return value;
}

void ZipReader::read_directory() {
    std::uint64_t const size = map_.bytes().size();
    if (size < 22 || number(0, 2) != 0x4b50) damaged("no zip archive (it does not start with 'PK')");
    std::uint64_t end = size - 22;
    std::uint64_t const lowest = size > 22 + limit16 ? size - 22 - limit16 : 0;
    while (number(end, 4) != end_signature) {
        if (end == lowest) damaged("truncated zip archive: no central directory at its end");
        --end;
    }
    if (number(end + 8, 2) != number(end + 10, 2)) damaged("zip archive is split over several files");
    std::uint64_t count = number(end + 10, 2), offset = number(end + 16, 4);
    if (end >= 20 && number(end - 20, 4) == locator64_signature) {
        std::uint64_t const end64 = number(end - 12, 8);
        if (number(end64, 4) != end64_signature) damaged("zip64 record not where its locator points");
        count = number(end64 + 32, 8), offset = number(end64 + 48, 8);
    }
    if (count > size / 46) damaged("zip directory claims " + std::to_string(count) + " members, more than fit");
    members_.reserve(count);
    for (std::uint64_t i = 0; i < count; ++i) {
        members_.push_back(directory_entry(offset));
        offset += 46 + number(offset + 28, 2) + number(offset + 30, 2) + number(offset + 32, 2);
    }
}

ZipReader::Member ZipReader::directory_entry(std::uint64_t offset) const {
    if (number(offset, 4) != central_signature)
        damaged("zip directory entry missing at byte " + std::to_string(offset));
    if (number(offset + 8, 2) & 1) damaged("zip archive is encrypted");
    std::uint64_t const name_size = number(offset + 28, 2), extra_size = number(offset + 30, 2);
    static_cast<void>(number(offset + 46 + name_size + extra_size, 0)); // the name lies inside the file
    Member member;
    member.name = map_.bytes().substr(offset + 46, name_size);
    member.method = static_cast<std::uint16_t>(number(offset + 10, 2));
    member.checksum = static_cast<std::uint32_t>(number(offset + 16, 4));
    member.compressed_size = number(offset + 20, 4);
    member.size = number(offset + 24, 4);
    member.header_offset = number(offset + 42, 4);
    std::uint64_t extra = offset + 46 + name_size;
    std::uint64_t const extra_end = extra + extra_size;
    while (extra + 4 <= extra_end) {
        std::uint64_t const tag = number(extra, 2), length = number(extra + 2, 2);
        std::uint64_t field = extra + 4;
        // zip64: only the fields that overflow are present, in this order.
        for (std::uint64_t* value : {&member.size, &member.compressed_size, &member.header_offset})
            if (tag == 1 && *value == limit32 && field + 8 <= extra + 4 + length) *value = number(field, 8), field += 8;
        extra += 4 + length;
    }
    return member;
}

std::string_view ZipReader::packed(Member const& member) const {
    std::uint64_t const header = member.header_offset;
    if (number(header, 4) != local_signature)
        damaged("member " + shown(member.name) + " is not where the directory says");
    std::uint64_t const begin = header + 30 + number(header + 26, 2) + number(header + 28, 2);
    if (begin > map_.bytes().size() || map_.bytes().size() - begin < member.compressed_size)
        damaged("member " + shown(member.name) + " reaches beyond the end of the file");
    return map_.bytes().substr(begin, member.compressed_size);
}

void ZipReader::check(Member const& member, std::string_view plain) const {
    if (checksum_of(0, plain) != member.checksum) damaged("member " + shown(member.name) + " fails its checksum");
}

std::string_view ZipReader::stored(Member const& member) const {
    if (member.method != 0 || member.size != member.compressed_size)
        damaged("member " + shown(member.name) + " is packed with method " + std::to_string(member.method) +
                "; it should be stored");
    std::string_view const plain = packed(member);
    check(member, plain);
    return plain;
}

std::string ZipReader::read(Member const& member) const {
    if (member.method == 0 && member.size == member.compressed_size) return std::string{stored(member)};
    if (member.method != 8)
        damaged("member " + shown(member.name) + " is packed with method " + std::to_string(member.method) +
                "; only stored and deflated members can be read");
    std::string_view const bytes = packed(member);
    if (member.size > member.compressed_size * deflate_limit + 64)
        damaged("member " + shown(member.name) + " claims " + std::to_string(member.size) + " bytes from " +
                std::to_string(member.compressed_size));
    std::string plain = inflate_exactly(bytes, member.size);
    if (plain.size() != member.size) damaged("member " + shown(member.name) + " does not unpack to its size");
    check(member, plain);
    return plain;
}

void ZipWriter::put(std::string_view bytes) {
    out_.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    offset_ += bytes.size();
}

void ZipWriter::add(std::string const& name, std::string_view head, std::string_view body) {
    if (!names_.insert(name).second) throw error{"zip member " + shown(name) + " was added twice"};
    ZipReader::Member member;
    member.name = name;
    member.size = member.compressed_size = head.size() + body.size();
    member.header_offset = offset_;
    member.checksum = checksum_of(checksum_of(0, head), body);
    bool const large = member.size >= limit32;
    std::string header;
    append(header, local_signature, 4);
    append(header, large ? 45 : 20, 2); // version needed
    append(header, 0, 2 + 2 + 2);       // flags, method stored, time
    append(header, 0x21, 2);            // 1980-01-01
    append(header, member.checksum, 4);
    append(header, large ? limit32 : member.size, 4);
    append(header, large ? limit32 : member.size, 4);
    append(header, name.size(), 2);
    append(header, large ? 20 : 0, 2);
    header += name;
    if (large) {
        append(header, 1, 2);
        append(header, 16, 2);
        append(header, member.size, 8);
        append(header, member.size, 8);
    }
    put(header);
    put(head);
    put(body);
    members_.push_back(std::move(member));
}

void ZipWriter::finish() {
    std::uint64_t const start = offset_;
    for (ZipReader::Member const& member : members_) {
        bool const large = member.size >= limit32, far = member.header_offset >= limit32;
        std::string extra;
        if (large) append(extra, member.size, 8), append(extra, member.size, 8);
        if (far) append(extra, member.header_offset, 8);
        std::string entry;
        append(entry, central_signature, 4);
        append(entry, large || far ? 45 : 20, 2); // made by
        append(entry, large || far ? 45 : 20, 2); // needed
        append(entry, 0, 2 + 2 + 2);
        append(entry, 0x21, 2);
        append(entry, member.checksum, 4);
        append(entry, large ? limit32 : member.size, 4);
        append(entry, large ? limit32 : member.size, 4);
        append(entry, member.name.size(), 2);
        append(entry, extra.empty() ? 0 : extra.size() + 4, 2);
        append(entry, 0, 2 + 2 + 2); // comment, disk, internal attributes
        append(entry, std::uint64_t{0644} << 16, 4);
        append(entry, far ? limit32 : member.header_offset, 4);
        entry += member.name;
        if (!extra.empty()) append(entry, 1, 2), append(entry, extra.size(), 2);
        put(entry + extra);
    }
    std::uint64_t const size = offset_ - start, count = members_.size();
    std::string tail;
    if (start >= limit32 || size >= limit32 || count >= limit16) {
        std::uint64_t const end64 = offset_;
        append(tail, end64_signature, 4);
        append(tail, 44, 8);
        append(tail, 45, 2), append(tail, 45, 2);
        append(tail, 0, 8); // this disk, directory's disk
        append(tail, count, 8), append(tail, count, 8);
        append(tail, size, 8), append(tail, start, 8);
        append(tail, locator64_signature, 4);
        append(tail, 0, 4);
        append(tail, end64, 8);
        append(tail, 1, 4);
    }
    append(tail, end_signature, 4);
    append(tail, 0, 4);
    append(tail, std::min<std::uint64_t>(count, limit16), 2), append(tail, std::min<std::uint64_t>(count, limit16), 2);
    append(tail, std::min(size, limit32), 4), append(tail, std::min(start, limit32), 4);
    append(tail, 0, 2);
    put(tail);
}

} // namespace tape
