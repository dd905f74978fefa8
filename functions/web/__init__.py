"""The HTTP face: an ASGI app that knows neither Lambda nor AWS."""
