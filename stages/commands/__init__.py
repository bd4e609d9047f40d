"""Commands for people, as ``straightflow <command>``: each checks its arguments, calls the library, prints."""
