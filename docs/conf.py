"""Settings of the documentation's site: `python -m sphinx -W -b html docs build/docs`, offline."""

import os
import sys
import warnings
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "docs" / "_extensions")]

from pdebench_fm.version import __version__  # noqa: E402

# Notebooks run as a reader would run them, in kernels of their own that inherit this.
BUILD = Path(os.environ.get("PDEFM_DOCS_CACHE", ROOT / "build" / "docs-cache"))
os.environ.update(
    {
        "PDEFM_CACHE": str(BUILD / "cells"),
        "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])),
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "COLUMNS": "100",  # of the tables that commands print
        "HF_HUB_OFFLINE": "1",
        "TTY_COMPATIBLE": "0",  # no bars and colours, which a notebook's kernel asks commands for
        "OMP_NUM_THREADS": "1",
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",
        "PYTHONWARNINGS": "ignore:IProgress not found",  # by tqdm, of bars that nobody needs
    }
)
os.environ.pop("PDEFM_PLUGINS", None)
warnings.filterwarnings("ignore", category=DeprecationWarning)

project = "pdebench_fm"
author = "The pdebench_fm authors"
project_copyright = author
version = release = __version__

extensions = ["catalogue", "myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "plain_docstrings", "whole_streams"]
exclude_patterns = ["_extensions", "_build"]
suppress_warnings = ["config.cache"]
default_role = "code"  # docstrings are written with single back-quotes
nitpicky = False

myst_heading_anchors = 4
myst_enable_extensions = ["attrs_inline", "colon_fence", "deflist"]

nb_execution_mode = "cache"
nb_execution_cache_path = str(BUILD / "notebooks")
nb_execution_in_temp = True
nb_execution_raise_on_error = True
nb_execution_timeout = 600
nb_merge_streams = True
nb_ipywidgets_js: dict[str, dict[str, str]] = {}  # they would come from another server

autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_member_order = "bysource"
autodoc_class_signature = "mixed"
autodoc_preserve_defaults = True
autodoc_default_options = {"members": True, "exclude-members": "model_config, model_post_init, __new__"}
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True
napoleon_use_rtype = False
python_maximum_signature_line_length = 90

html_theme = "pydata_sphinx_theme"
html_title = "pdebench_fm"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_copy_source = False
html_theme_options = {
    "navbar_align": "left",
    "header_links_before_dropdown": 7,
    "show_prev_next": True,
    "show_toc_level": 2,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}
html_sidebars = {"install": [], "get-started": [], "faq": [], "changelog": []}
html_context = {"default_mode": "auto"}
