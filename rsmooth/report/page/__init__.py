"""Reports as one HTML file that needs no network; its names are imported from the modules."""
