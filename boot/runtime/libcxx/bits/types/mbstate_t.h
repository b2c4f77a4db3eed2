// libc++ without wide characters looks for mbstate_t where glibc keeps it; newlib's is elsewhere.
#pragma once

#include <sys/_types.h>

typedef _mbstate_t mbstate_t;
