# escape=`
FROM localhost/kiln/python-3.13 AS evil
LABEL a=b `

CMD ["/usr/bin/python3.13"]
