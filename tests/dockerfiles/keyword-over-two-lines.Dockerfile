FROM localhost/kiln/python-3.13
CO\
PY a /a
CMD ["/usr/bin/python3.13"]
