FROM localhost/kiln/python-3.13
ADD user@example.invalid:a/b.git /x
CMD ["/usr/bin/python3.13"]
