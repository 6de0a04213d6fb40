"""The story that `backstay demo` tells: real scans, a real server, an injected clock."""
