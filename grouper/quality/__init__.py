"""Quality rules of the settlement list, family by family; `grouper.validate` runs them over whole batches."""
