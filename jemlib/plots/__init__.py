"""Pictures in one style, and widgets over them."""

from jemlib.plots.pictures import (
    comparison,
    curves,
    diagnose,
    embedding_map,
    factor_table,
    few_labels,
    image_grid,
    matrices,
    matrix,
    neighbours,
    to_images,
)
from jemlib.plots.style import COLOURS, HATCHES, LINES, MARKERS, line_styles, scatter_styles, style
from jemlib.plots.widgets import explore
