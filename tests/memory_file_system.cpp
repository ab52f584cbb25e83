#include "daemon/file_system.hpp"
