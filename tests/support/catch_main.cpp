// The main function of every Catch2 program here, and Catch2's own code, compiled once.
#define CATCH_CONFIG_MAIN
#include <catch2/catch.hpp>
