//! Real servers and the real program, for the whole-program tests
