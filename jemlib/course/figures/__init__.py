"""Pictures and widgets that belong to one lesson each; what several lessons draw is in jemlib.plots."""
