"""Serves the page on this machine, with nothing that leaves it."""

from __future__ import annotations

import gradio as gr

from stages.commands.demo.models import SideBySide
from stages.commands.demo.page import build_page

FONTS = ("system-ui", "sans-serif")
STYLE = "figure { margin: 0 } figure img { max-width: none } figcaption { margin-top: 0.5em }"


def serve(models: SideBySide, host: str, port: int) -> None:
    """Serves until the process is interrupted."""
    page = build_page(models)
    # All that gradio would otherwise read from the environment is given.
    page.launch(
        server_name=host,
        server_port=port,
        root_path="",
        allowed_paths=[],
        blocked_paths=[],
        share=False,
        inbrowser=False,
        ssr_mode=False,
        mcp_server=False,
        enable_monitoring=False,
        run_history=False,
        pwa=False,
        num_workers=0,  # files too come from this process: another one would outlive it where it is killed
        footer_links=[],
        theme=gr.themes.Default(font=FONTS, font_mono=("monospace",)),
        css=STYLE,
        quiet=True,
        prevent_thread_lock=True,
    )
    print(f"{', '.join(models.samplers)}: http://{host}:{port} (Ctrl-C ends it)", flush=True)
    page.block_thread()
