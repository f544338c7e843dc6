"""What `record` counts as the table at the start and what as a change."""

from __future__ import annotations

import rows

from routenotify import ChangeType
from routenotify._cli._record import Recorded

SNAPSHOT = 1  # enum rn_cause


def test_a_change_amid_the_table_at_the_start_is_a_change():
    """On Windows changes come before SNAPSHOT_END; they were counted as routes."""
    done = Recorded()
    for kind, cause in [
        (ChangeType.ADD, SNAPSHOT),
        (ChangeType.DELETE, 0),
        (ChangeType.ADD, SNAPSHOT),
        (ChangeType.SNAPSHOT_END, SNAPSHOT),
        (ChangeType.PARAMETER, 0),
        (ChangeType.RESYNC_BEGIN, 0),
        (ChangeType.INITIAL, 0),
    ]:
        done.add(rows.change("10.0.0.0/8", type=kind, cause=cause))

    assert (2, 3) == (done.routes, done.changes)
