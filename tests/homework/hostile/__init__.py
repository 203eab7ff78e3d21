"""Hostile and careless submissions, and the course that they are handed in to."""
