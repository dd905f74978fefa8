"""EVENT IN: one module a function, each its own composition root."""

import gc

# Nearly all that a start-up makes is kept, so looking through it for garbage again and again is a tenth of a cold start
# for nothing. Runtime.start turns it on again.
gc.disable()
