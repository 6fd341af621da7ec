"""Pages of lists: every list is asked for by `limit` and `after`, and says in `next` where it goes on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, TypeVar

import sqlalchemy as sa
from fastapi import Query

from api.http.answers import Page
from api.http.errors import Refused
from api.service.office_work import unfit

After = Annotated[str, Query(max_length=300, description="上一页的 next；不写为第一页")]
_NOT_NEXT = "应为上一页的 next"
T = TypeVar("T")
S = TypeVar("S")


def check_after(connection: sa.Connection, table: sa.Table, after: str) -> None:
    """Refused (SV04) when the list of a table's rows is to go on after one that there is not."""
    if after and connection.execute(sa.select(table.c.id).where(table.c.id == after)).first() is None:
        raise Refused(unfit("after", _NOT_NEXT))


def page_of(items: Sequence[S], key: Callable[[S], str], after: str, limit: int, shown: Callable[[S], T]) -> Page[T]:
    """The page of a list whose things have keys of their own. Refused (SV04) when `after` is none of them."""
    first = 0
    if after:
        keys = [key(item) for item in items]
        if after not in keys:
            raise Refused(unfit("after", _NOT_NEXT))
        first = keys.index(after) + 1
    chosen = items[first : first + limit]
    more = first + limit < len(items)
    return Page(items=[shown(item) for item in chosen], next=key(chosen[-1]) if more and chosen else None)
