"""The demo: migrates a sample Mastodon server to an embedded store, and checks the result by independent means.

prepare -> sample (the server's files) -> web (its web process, started by restart) -> playbook -> checks -> story.
"""
