FROM localhost/kiln/python-3.13
SHELL ["/usr/bin/python3.13", "-c"]
RUN open("/made","w").write(str(1<<2))
CMD ["/usr/bin/python3.13"]
