// Its detarget leaves no file.
