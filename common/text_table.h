// Tables as people read them in a terminal.
#ifndef ATTUNE_COMMON_TEXT_TABLE_H_
#define ATTUNE_COMMON_TEXT_TABLE_H_

#include <string>
#include <vector>

namespace attune {

// The rows (the first is the header) in columns two blanks apart; a column of numbers is set to the
// right. Ends with a newline; no blanks at line ends.
std::string FormatTable(const std::vector<std::vector<std::string>>& rows);

}  // namespace attune

#endif  // ATTUNE_COMMON_TEXT_TABLE_H_
