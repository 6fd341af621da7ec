"""What the service keeps: the catalogue in SQL, files by their content beside it."""
