"""EVENT IN: one module a function, each its own composition root."""
