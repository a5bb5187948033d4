"""The HTTP face of the service: Starlette routes over the use cases."""
