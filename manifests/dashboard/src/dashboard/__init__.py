"""A web application about a fleet of devices, behind API Gateway."""
