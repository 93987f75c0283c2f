// Nobody is told how to start it.
