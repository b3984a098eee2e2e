#include "data/tape_formats.hpp"

#include "tests/fuzz/fuzz_input.hpp"

using namespace tape;

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
    auto const bytes = fuzz::text(data, size);
    fuzz::accept_or_refuse([&] { read_pickled_record(bytes, "input"); });
    fuzz::accept_or_refuse([&] { read_pickled_integer(bytes, "input"); });
    return 0;
}
