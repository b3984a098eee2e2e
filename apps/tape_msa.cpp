#include "apps/tape_msa.hpp"

#include "data/shared_queue.hpp"

namespace {

void run(tape::cli::Arguments const& arguments) {
    if (arguments.text("set").empty()) return tape::cli::align_queries(arguments);
    if (tape::launched_rank().rank == 0) tape::cli::align_set(arguments);
}

} // namespace

int main(int argc, char** argv) { return tape::cli::run(tape::cli::tape_msa_program(), argc, argv, run); }
