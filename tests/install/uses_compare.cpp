#include "compare/arms.hpp"

bool uses_compare() { return tape::parse_arms({"msa", "transformer"}, true, true).size() == 4; }
