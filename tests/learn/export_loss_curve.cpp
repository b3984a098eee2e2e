#include "tests/learn/loss_curve.hpp"

#include <cstdio>

/// export_loss_curve FOLDER OBJECTIVE: what make_loss_curve.py trains on.
int main(int argc, char** argv) {
    if (argc != 3) {
        std::fputs("export_loss_curve FOLDER OBJECTIVE\n", stderr);
        return 2;
    }
    tape::test::export_loss_curve_run(argv[1], argv[2]);
    return 0;
}
