"""Input formats of cases: bytes to text records, header to canonical columns, text to typed case frames."""
