#include "data/hash.hpp"

#include "data/io.hpp"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <cstdio>

namespace tape {
namespace {

std::string hexadecimal(XXH128_hash_t hash) {
    char digits[33];
    std::snprintf(digits, sizeof digits, "%016llx%016llx", static_cast<unsigned long long>(hash.high64),
                  static_cast<unsigned long long>(hash.low64));
    return digits;
}

} // namespace

std::string content_hash(std::string_view bytes) { return hexadecimal(XXH3_128bits(bytes.data(), bytes.size())); }

std::string content_hash_of_file(std::filesystem::path const& file) { return content_hash(MappedFile{file}.bytes()); }

} // namespace tape
