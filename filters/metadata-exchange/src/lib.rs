//! Tells each proxy which workload is on the other side of a request.
