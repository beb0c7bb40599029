class Own(BaseException):
    pass


raise Own("x")
