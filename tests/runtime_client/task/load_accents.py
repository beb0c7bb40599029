raise ValueError("größe")
