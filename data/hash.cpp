#include "data/hash.hpp"

#include "data/io.hpp"

#define XXH_INLINE_ALL
#include <sys/mman.h>
#include <xxhash.h>

#include <algorithm>
#include <cstdio>
#include <memory>

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

std::string content_hash_of_file(std::filesystem::path const& file) {
    constexpr std::size_t piece = std::size_t{16} << 20; // what is mapped counts as this program's memory
    MappedFile const map{file};
    std::unique_ptr<XXH3_state_t, decltype(&XXH3_freeState)> const state{XXH3_createState(), XXH3_freeState};
    XXH3_128bits_reset(state.get());
    for (auto rest = map.bytes(); !rest.empty(); rest.remove_prefix(std::min(piece, rest.size()))) {
        XXH3_128bits_update(state.get(), rest.data(), std::min(piece, rest.size()));
        ::madvise(const_cast<char*>(map.bytes().data()), map.bytes().size(), MADV_DONTNEED);
    }
    return hexadecimal(XXH3_128bits_digest(state.get()));
}

} // namespace tape
