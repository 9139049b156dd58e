"""Is this the host, the interpreter and the framework that we think it is?"""
