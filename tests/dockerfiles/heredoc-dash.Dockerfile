FROM localhost/kiln/python-3.13
SHELL ["/usr/bin/python3.13", "-c"]
RUN <<-EOF
	open("/made", "w").write("x")
	EOF
CMD ["/usr/bin/python3.13"]
