//! Exchange simulator that speaks the venues' wire formats.
