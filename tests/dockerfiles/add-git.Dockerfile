FROM localhost/kiln/python-3.13
ADD git@example.invalid:a/b.git /x
CMD ["/usr/bin/python3.13"]
