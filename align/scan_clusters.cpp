#include "align/scan_clusters.hpp"

#include "data/cluster_table.hpp"
#include "data/error.hpp"
#include "data/hash.hpp"

#include <numeric>
#include <string_view>
#include <unordered_map>

namespace tape {

ScanClusters::ScanClusters(Database const& database, std::filesystem::path const& table) {
    constexpr auto none = static_cast<std::uint32_t>(-1);
    std::unordered_map<std::string_view, std::uint32_t> index_of;
    index_of.reserve(database.size());
    for (std::size_t i = 0; i < database.size(); ++i) index_of.emplace(database.id(i), static_cast<std::uint32_t>(i));

    std::vector<std::uint32_t> representative(database.size(), none);
    read_cluster_table(table, [&](std::size_t line, std::string_view of, std::string_view member) {
        auto const refuse = [&](std::string_view id, std::string const& why) {
            throw data_error{table.string() + ":" + std::to_string(line) + ": '" + std::string{id} + "' " + why};
        };
        auto const index = [&](std::string_view id) {
            auto const found = index_of.find(id);
            if (found == index_of.end())
                refuse(id,
                       "is not in " + database.path().string() + "; make the table of this database (tape-db cluster)");
            return found->second;
        };
        auto& joined = representative[index(member)];
        if (joined != none) refuse(member, "was listed before; a sequence is in one cluster");
        joined = index(of);
    });
    std::vector<std::uint32_t> rank(database.size(), none);
    for (std::size_t i = 0; i < database.size(); ++i) {
        auto const of = representative[i];
        if (of == none)
            throw data_error{table.string() + ": '" + std::string{database.id(i)} + "' of " + database.path().string() +
                             " is in no cluster; make the table of this database"};
        if (representative[of] != of)
            throw data_error{table.string() + ": the representative '" + std::string{database.id(of)} + "' of '" +
                             std::string{database.id(i)} + "' is itself in another cluster"};
        if (of != i) continue;
        rank[i] = static_cast<std::uint32_t>(representatives_.size());
        representatives_.push_back(static_cast<std::uint32_t>(i));
    }
    starts_.assign(representatives_.size() + 1, 0);
    for (auto const of : representative) ++starts_[rank[of] + 1];
    std::partial_sum(starts_.begin(), starts_.end(), starts_.begin());
    members_.resize(database.size());
    auto next = starts_;
    for (std::size_t i = 0; i < database.size(); ++i)
        members_[next[rank[representative[i]]]++] = static_cast<std::uint32_t>(i);
    hash_ = tape::content_hash(std::string_view{reinterpret_cast<char const*>(representative.data()),
                                                representative.size() * sizeof representative.front()});
}

} // namespace tape
