{"syntax":"localhost/kiln-evil:latest"}
FROM localhost/kiln/python-3.13
CMD ["/usr/bin/python3.13"]
