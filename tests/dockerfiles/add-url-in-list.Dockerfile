FROM localhost/kiln/python-3.13
ADD ["a", "https://example.invalid/x", "/x/"]
CMD ["/usr/bin/python3.13"]
