"""./salvo guard: the operator's view of the rules against abuse, and his hand in them."""
