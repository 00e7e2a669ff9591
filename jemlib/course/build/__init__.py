"""The builder: notebooks and README tables from their sources."""
