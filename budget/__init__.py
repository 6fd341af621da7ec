"""Money from grouped cases: scores from history, payment, settlement and clearing. Never imports the grouper."""
