//! Dapr's consistent-hash ring, point for point.
