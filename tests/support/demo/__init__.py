"""The demo: migrates a sample Mastodon server to an embedded store, and checks the result without this collection.

prepare (Python packages) -> sample (the server's files) -> restart (starts web.py) -> playbook -> checks.
"""
