"""Views of images: what is drawn (`recipes`), how a batch is made from it (`making`), masks of patches (`masks`)."""

from jemlib.views.making import (
    MEAN,
    SIZE,
    STD,
    adjust_brightness,
    adjust_contrast,
    adjust_hue,
    adjust_saturation,
    blur,
    crop_and_resize,
    denormalize,
    make_views,
    normalize,
    to_grey,
)
from jemlib.views.masks import enlarge, mask_pixels, patch_mask, visible_tokens
from jemlib.views.recipes import LOCAL_CROP, PRESETS, Recipe, Views, as_setting, draw_parameters, resolve
