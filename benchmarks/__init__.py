"""Speed of routenotify beside what it is compared with: `python -m benchmarks`."""
