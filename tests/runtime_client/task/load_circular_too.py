from load_circular import handler
