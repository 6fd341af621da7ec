"""A region's DIP catalog grown from its own cases: history in, tables of a DIP pack out."""
