"""The report: one HTML page about what the lists held and what changed in the sets."""

from collections.abc import Sequence

import jinja2

from waf_ip_sets import Change

from .sources import Fetched

SHOWN = 100  # ranges of each kind; the page is for reading

environment = jinja2.Environment(
    loader=jinja2.PackageLoader("waf_reputation_list"),
    autoescape=True,  # names and rejected lines come from other people's servers
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def render(title: str, when: str, lists: Sequence[Fetched], changes: dict[str, Change]) -> str:
    """Renders the page.

    Args:
        title: The page's heading.
        when: The time of the update, as text.
        lists: What each source gave, in their order.
        changes: What was changed, by the name of the set.
    """
    return environment.get_template("report.html.jinja").render(
        title=title, when=when, lists=lists, changes=changes, shown=SHOWN
    )
