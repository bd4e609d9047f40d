"""Files, hashes, processes and devices; this package imports no other package of the project.

Errors: ``errors`` that a user can fix, ``file_errors`` that the system reports about a file. Files: ``atomic`` writes
them whole or not at all, ``replacing`` says what may be replaced, ``leftovers`` clears what killed processes left,
``file_lock`` keeps other processes out, ``whole_files``, ``yaml_text`` and ``safetensors_header`` read what may be
damaged. Hashes: ``fingerprint`` of contents, ``file_hashes`` kept beside files, ``code`` of what a module imports.
Others: ``progress``, ``task_status`` that other processes may read, ``processes``, ``hub``, ``packages``,
``random_state``, ``blocks`` of work, ``copies`` to a device and back, ``allocator``.
"""
