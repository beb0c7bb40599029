"""The runbooks of whoever is on call, as a site."""
