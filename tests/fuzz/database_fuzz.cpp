#include "align/database.hpp"

#include "tests/fuzz/fuzz_input.hpp"
#include <xxhash.h>

#include <cstring>

using namespace tape;

/// Every other input gets a right header checksum, so that the checks behind it are reached too.
extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
    static fuzz::ScratchFile const file{".tdb"};
    constexpr std::size_t header = 128, checksum = 120;
    std::string bytes{fuzz::text(data, size)};
    if (size > header && data[size - 1] % 2 == 0) {
        XXH64_hash_t const hash = XXH3_64bits(bytes.data(), checksum);
        std::memcpy(bytes.data() + checksum, &hash, sizeof hash);
    }
    fuzz::accept_or_refuse([&] {
        Database const database{file.write(bytes)};
        std::size_t letters = 0;
        for (std::size_t n = 0; n < database.size(); ++n) {
            for (Residue const code : database.residues(n)) letters += code <= unknown_code;
            letters += database.id(n).size() + database.description(n).size();
        }
        fuzz::require(letters <= size, "the database holds no more than its file");
        database.verify();
    });
    return 0;
}
