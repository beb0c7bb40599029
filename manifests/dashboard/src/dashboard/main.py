"""The application and its handler."""

import collections
import datetime
from typing import Annotated

from fastapi import Depends, FastAPI, HTTPException, Query, status
from mangum import Mangum

from .models import Acknowledgement, Device, DeviceId, SiteSummary, State
from .store import Store, UnknownAlarmError, store

app = FastAPI(title="Fleet dashboard", version="2.1.0", docs_url=None, redoc_url=None)


def current_time() -> datetime.datetime:
    """Returns the time of the request."""
    return datetime.datetime.now(datetime.UTC)


Devices = Annotated[Store, Depends(store)]
Now = Annotated[datetime.datetime, Depends(current_time)]


@app.get("/health")
def health() -> dict[str, str]:
    """Tells that the application runs; touches nothing else."""
    return {"status": "ok"}


@app.get("/devices")
def devices(
    devices: Devices,
    now: Now,
    site: str | None = None,
    state: State | None = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
) -> list[Device]:
    """Lists devices, those in the worst state first."""
    found = [Device.from_item(item, now) for item in devices.all(site)]
    if state is not None:
        found = [device for device in found if device.state is state]
    worst_first = list(State)[::-1]
    return sorted(found, key=lambda device: (worst_first.index(device.state), device.id))[:limit]


@app.get("/sites")
def sites(devices: Devices, now: Now) -> list[SiteSummary]:
    """Counts the devices of each site by state."""
    counts: collections.defaultdict[str, collections.Counter[State]] = collections.defaultdict(collections.Counter)
    for item in devices.all():
        device = Device.from_item(item, now)
        counts[device.site][device.state] += 1
    return [
        SiteSummary(site=site, devices=states.total(), by_state={state: states[state] for state in State})
        for site, states in sorted(counts.items())
    ]


@app.get("/devices/{device_id}")
def device(device_id: DeviceId, devices: Devices, now: Now) -> Device:
    """Returns one device."""
    item = devices.get(device_id)
    if item is None:
        raise HTTPException(status.HTTP_404_NOT_FOUND, f"there is no device {device_id}")
    return Device.from_item(item, now)


@app.post("/devices/{device_id}/alarms/{alarm_id}/acknowledgement")
def acknowledge(device_id: DeviceId, alarm_id: str, body: Acknowledgement, devices: Devices, now: Now) -> Device:
    """Acknowledges an alarm."""
    try:
        item = devices.acknowledge(device_id, alarm_id, body.by)
    except UnknownAlarmError:
        raise HTTPException(status.HTTP_404_NOT_FOUND, f"{device_id} has no alarm {alarm_id}") from None
    return Device.from_item(item, now)


handler = Mangum(app, lifespan="off")
