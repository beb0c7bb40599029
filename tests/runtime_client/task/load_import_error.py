raise ImportError("by hand")
