FROM localhost/kiln/python-3.13
LABELa=b
CMD ["/usr/bin/python3.13"]
