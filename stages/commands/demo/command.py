"""Opens the models and serves their page."""

from __future__ import annotations

import os
from collections.abc import Sequence

from pipeline.config.graph import Config
from pipeline.system.packages import require_package
from stages.commands.demo.address import free_port
from stages.commands.demo.models import open_side_by_side


def run_demo(config: Config, names: Sequence[str], host: str, port: int) -> None:
    """Serves the page of these models until the process is interrupted.

    Args:
        config: Of the run.
        names: Under models/, or folders of saved models; without any, those of the run that are trained.
        host: Address to listen at.
        port: Port to listen at; 0 for any free one.

    Raises:
        StraightflowError: If gradio is not installed; or as :func:`stages.commands.demo.address.free_port` and
            :func:`stages.commands.demo.models.open_side_by_side`.
    """
    require_package("gradio", wanted_by="the demo", mend="install it: pip install -e '.[demo]'")
    port = free_port(host, port)
    models = open_side_by_side(config, names)
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # is read when gradio is imported
    from stages.commands.demo.serving import serve

    serve(models, host, port)
