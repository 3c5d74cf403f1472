//! The one library that touches the Workers platform.
