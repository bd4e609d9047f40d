"""Utilities that any program needs; this package imports no other package of the project.

``errors`` that a user can fix · ``atomic``: files that are whole or absent · ``file_lock``: one process at a time ·
``fingerprint``: hashes of files · ``code``: hashes of the code that a module imports · ``progress``: bars and log lines
· ``hub``: downloads · ``allocator``: settings of malloc.
"""
