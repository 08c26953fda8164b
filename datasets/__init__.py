"""Models and measurements that come with the package, and their readers."""
