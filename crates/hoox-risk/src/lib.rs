//! Sizing, limits and kill switch; the only maker of approved orders.
