#include "compare/experiment_contacts.hpp"

#include <algorithm>
#include <cmath>
#include <set>
#include <tuple>

namespace tape {

namespace {

using Position = std::array<float, 3>;

bool is_known(Position const& p) { return std::isfinite(p[0]) && std::isfinite(p[1]) && std::isfinite(p[2]); }

/// Positions that decide, NaN where unresolved.
std::vector<Position> deciding_positions(Example const& example, ContactAtom atom) {
    std::vector<Position> positions = example.ca;
    if (atom == ContactAtom::cb && !example.cb.empty())
        for (std::size_t i = 0; i < positions.size(); ++i)
            if (is_known(example.cb[i])) positions[i] = example.cb[i];
    for (std::size_t i = 0; i < positions.size() && i < example.valid_mask.size(); ++i)
        if (example.valid_mask[i] == 0) positions[i].fill(NAN);
    return positions;
}

bool in_contact(Position const& a, Position const& b) {
    float square = 0;
    for (int axis = 0; axis < 3; ++axis) square += (a[axis] - b[axis]) * (a[axis] - b[axis]);
    return square < contact_distance * contact_distance;
}

/// Labels of a protein whose contacts are listed instead of its positions.
std::vector<std::int8_t> listed_labels(Example const& example) {
    std::size_t const length = example.protein.residues.size();
    std::vector<std::int8_t> labels(length * length, 0);
    for (auto const& [i, j] : example.contacts) {
        labels[static_cast<std::size_t>(i) * length + static_cast<std::size_t>(j)] = 1;
        labels[static_cast<std::size_t>(j) * length + static_cast<std::size_t>(i)] = 1;
    }
    for (std::size_t i = 0; i < length; ++i)
        for (std::size_t j = 0; j < length; ++j)
            if (example.valid_mask[i] == 0 || example.valid_mask[j] == 0) labels[i * length + j] = -1;
    return labels;
}

std::vector<std::array<int, 2>> listed_contacts(Example const& example) {
    std::set<std::array<int, 2>> contacts;
    for (auto const& [i, j] : example.contacts)
        if (j - i >= minimum_separation && example.valid_mask[static_cast<std::size_t>(i)] != 0 &&
            example.valid_mask[static_cast<std::size_t>(j)] != 0)
            contacts.insert({i, j});
    return {contacts.begin(), contacts.end()};
}

} // namespace

std::vector<std::int8_t> contact_labels(Example const& example, ContactAtom atom) {
    if (example.ca.empty()) return listed_labels(example);
    auto const positions = deciding_positions(example, atom);
    std::size_t const length = positions.size();
    std::vector<std::int8_t> labels(length * length, -1);
    for (std::size_t i = 0; i < length; ++i)
        for (std::size_t j = 0; j < length; ++j)
            if (is_known(positions[i]) && is_known(positions[j]))
                labels[i * length + j] = in_contact(positions[i], positions[j]) ? 1 : 0;
    return labels;
}

std::vector<std::array<int, 2>> true_contacts(Example const& example, ContactAtom atom) {
    if (example.ca.empty()) return listed_contacts(example);
    auto const positions = deciding_positions(example, atom);
    int const length = static_cast<int>(positions.size());
    std::vector<std::array<int, 2>> contacts;
    // A comparison with NaN is false, so unresolved residues never make a contact.
    for (int i = 0; i < length; ++i)
        for (int j = i + minimum_separation; j < length; ++j)
            if (in_contact(positions[i], positions[j])) contacts.push_back({i, j});
    return contacts;
}

std::vector<PairPrediction> top_pairs(FeatureMatrix const& probability) {
    int const length = static_cast<int>(probability.rows());
    std::vector<PairPrediction> ranges[3];
    for (int i = 0; i < length; ++i)
        for (int j = i + minimum_separation; j < length; ++j)
            ranges[j - i < 12 ? 0 : j - i < 24 ? 1 : 2].push_back({i, j, stored_probability(probability(i, j))});
    std::vector<PairPrediction> top;
    for (auto& range : ranges) {
        auto const better = [](PairPrediction const& a, PairPrediction const& b) {
            return std::tie(b.probability, a.i, a.j) < std::tie(a.probability, b.i, b.j);
        };
        auto const middle = range.begin() + std::min<std::ptrdiff_t>(length, std::ssize(range));
        std::partial_sort(range.begin(), middle, range.end(), better);
        top.insert(top.end(), range.begin(), middle);
    }
    return top;
}

} // namespace tape
