#include "learn/aligned_segments.hpp"

#include "data/hash.hpp"

namespace tape {
namespace {

static_assert(AlignedSegments::anchor_length * 5 <= 64);

/// Five bits a letter, the last letter lowest.
std::uint64_t appended(std::uint64_t anchor, char letter) {
    constexpr std::uint64_t mask = (std::uint64_t{1} << (5 * AlignedSegments::anchor_length)) - 1;
    return (anchor << 5 | (static_cast<std::uint64_t>(letter) & 31)) & mask;
}

template <typename T> std::string hash_of(std::span<T const> values) {
    return content_hash({reinterpret_cast<char const*>(values.data()), values.size_bytes()});
}

} // namespace

void AlignedSegments::add(std::string_view residues, std::span<std::uint32_t const> columns) {
    if (residues.size() < anchor_length) return;
    std::uint64_t anchor = 0;
    for (char const letter : residues.substr(0, anchor_length)) anchor = appended(anchor, letter);
    by_anchor_.emplace(anchor, static_cast<std::uint32_t>(segments_.size()));
    segments_.push_back({residues_.size(), residues.size()});
    residues_ += residues;
    columns_.insert(columns_.end(), columns.begin(), columns.end());
}

std::optional<AlignedSegments::Found> AlignedSegments::find(std::string_view protein) const {
    std::uint64_t anchor = 0;
    for (std::size_t end = 1; end <= protein.size(); ++end) {
        anchor = appended(anchor, protein[end - 1]);
        if (end < anchor_length) continue;
        Segment const* longest = nullptr;
        auto const [first, last] = by_anchor_.equal_range(anchor);
        for (auto entry = first; entry != last; ++entry) {
            Segment const& segment = segments_[entry->second];
            if ((!longest || segment.length > longest->length) &&
                protein.substr(end - anchor_length)
                    .starts_with(std::string_view{residues_}.substr(segment.begin, segment.length)))
                longest = &segment;
        }
        if (longest) return Found{end - anchor_length, std::span{columns_}.subspan(longest->begin, longest->length)};
    }
    return {};
}

std::string AlignedSegments::hash() const {
    return hash_of(std::span<char const>{residues_}) + hash_of(std::span<std::uint32_t const>{columns_});
}

} // namespace tape
