#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace tape {

/// XXH3-128 of bytes, as 32 hexadecimal digits: content hashes of caches, databases and manifests (not cryptographic).
std::string content_hash(std::string_view bytes);
std::string content_hash_of_file(std::filesystem::path const& file);

} // namespace tape
