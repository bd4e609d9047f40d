"""Writes straight_lines.ipynb: the script beside it as a notebook, executed from top to bottom.

Takes some minutes and `pip install -e '.[notebook]'`. What the cells print is kept; progress, warnings and times are of
one machine on one day, and are left out.
"""

from pathlib import Path

import jupytext
import nbformat
from nbclient import NotebookClient

FOLDER = Path(__file__).parent
SCRIPT = FOLDER / "straight_lines.py"


def main() -> None:
    notebook = jupytext.read(SCRIPT)
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    client = NotebookClient(
        notebook,
        timeout=None,
        kernel_name="python3",
        record_timing=False,
        resources={"metadata": {"path": str(FOLDER)}},
    )
    client.execute()
    notebook.metadata.pop("widgets", None)
    for index, cell in enumerate(notebook.cells):
        cell.id = f"cell-{index}"  # a drawn one would be another every time
        if cell.cell_type == "code":
            cell.outputs = printed(cell.outputs)
    nbformat.write(notebook, SCRIPT.with_suffix(".ipynb"))


def printed(outputs: list[nbformat.NotebookNode]) -> list[nbformat.NotebookNode]:
    """Standard output as one text."""
    text = "".join(output.text for output in outputs if output.get("name") == "stdout")
    return [nbformat.v4.new_output("stream", name="stdout", text=text)] if text else []


if __name__ == "__main__":
    main()
