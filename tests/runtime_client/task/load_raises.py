def work():
    raise ValueError("at import")


if True:
    work()
