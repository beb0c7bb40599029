"""What the interface takes and gives."""

import datetime
import enum
from decimal import Decimal
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, computed_field

DeviceId = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{2,39}$")]

# A device that has been silent for longer counts as lost; devices report every five minutes.
SILENCE = datetime.timedelta(minutes=16)


class State(enum.StrEnum):
    """The state of a device, worst last."""

    OK = "ok"
    ALARM = "alarm"
    LOST = "lost"


class Alarm(BaseModel):
    """Something that a person should look at."""

    model_config = ConfigDict(frozen=True)

    id: str
    kind: str
    raised: datetime.datetime
    acknowledged_by: str | None = None


class Device(BaseModel):
    """A device with its last reading, as of a given time."""

    id: DeviceId
    site: str
    seen: datetime.datetime
    reading: float | None = None
    unit: str = ""
    alarms: list[Alarm] = []
    now: datetime.datetime = Field(exclude=True)

    @computed_field
    @property
    def state(self) -> State:
        """The device's state: silence outweighs alarms, because it hides them."""
        if self.now - self.seen > SILENCE:
            return State.LOST
        return State.ALARM if any(alarm.acknowledged_by is None for alarm in self.alarms) else State.OK

    @classmethod
    def from_item(cls, item: dict[str, object], now: datetime.datetime) -> Self:
        """Reads a device from its item in the table, where numbers are decimals."""
        plain = {key: float(value) if isinstance(value, Decimal) else value for key, value in item.items()}
        return cls.model_validate(plain | {"now": now})


class SiteSummary(BaseModel):
    """How a site is doing."""

    site: str
    devices: int
    by_state: dict[State, int]


class Acknowledgement(BaseModel):
    """A person's word that an alarm is being looked at."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    by: Annotated[str, StringConstraints(min_length=2, max_length=80)]
