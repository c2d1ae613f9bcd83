"""Types of requests and replies. They are in `tidegate.types.utils`."""
