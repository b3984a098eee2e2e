#include "data/tape_formats.hpp"

#include "tests/fuzz/fuzz_input.hpp"

using namespace tape;

/// The first byte chooses the task; the format is told by content. LMDB is left out: liblmdb trusts its file, and the
/// tool to read a stranger's LMDB with is another.
extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
    static fuzz::ScratchFile const file;
    if (size < 1) return -1;
    auto const& tasks = bundled_tasks();
    Task const& task = tasks[data[0] % tasks.size()];
    fuzz::accept_or_refuse([&] {
        file.write(fuzz::text(data, size).substr(1));
        TapeFormat const format = detect_format(file.path());
        if (format != TapeFormat::lmdb) import_dataset(task, task.test, file.path(), format);
    });
    return 0;
}
