"""The rules against abuse: what is looked at before a code may go out, what each said, and which one decided."""
