"""./salvo send: a code for each number of a file, and one only, however often the command is killed and repeated."""
