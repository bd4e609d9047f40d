"""What any program needs, and nothing of ours: it imports no other package.

``errors`` what a user can mend · ``atomic`` files that are whole or absent · ``file_lock`` one process at a time ·
``fingerprint`` of files, ``code`` of what a module reaches · ``progress`` bars and plain lines · ``hub`` downloads ·
``allocator`` memory that is kept.
"""
