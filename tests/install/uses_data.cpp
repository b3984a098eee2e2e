#include "data/dataset.hpp"

bool uses_data() { return tape::load_split(tape::find_task("remote_homology"), "valid").examples.size() == 736; }
