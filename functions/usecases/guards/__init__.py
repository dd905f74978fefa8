"""One file a check of the guard, in the words of domain/guard."""
