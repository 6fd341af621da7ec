"""Readers that turn published workbooks into packs."""
