"""What commands and services do with the parts below, free of any command line."""
