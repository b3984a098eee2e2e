#pragma once

#include "data/error.hpp"

#include <functional>

namespace tape {

/// The disk, or the quota on it, is full. What was there is kept, and the same again works once there is room.
class full_disk_error : public error {
  public:
    using error::error;
};

/// Calls write, and after each time that the disk was full `wait`, until it succeeds. Other errors pass through.
void retry_while_full(std::function<void()> const& write, std::function<void(full_disk_error const&)> const& wait);

} // namespace tape
