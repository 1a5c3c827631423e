"""Many requests at once: jobs, watches, polling."""
