"""Grouping by DIP (按病种分值付费): core groups by rows, mixed groups for what is left, the auxiliary catalog."""
