FROM localhost/kiln/python-3.13
LABEL a=b \ 	
  c=d
COPY a /a
CMD ["/usr/bin/python3.13"]
