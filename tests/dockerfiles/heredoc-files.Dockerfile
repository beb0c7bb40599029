FROM localhost/kiln/python-3.13
COPY <<one.txt <<"two" /srv/
FROM localhost/kiln-evil:latest
one.txt
$HOME \
# not a comment
two
COPY . /all
CMD ["/usr/bin/python3.13"]
